import { scalarIn, type PointedValue } from '../../codecs/laneIndex.js';
import type { Decoders } from '../../formats/decoders.js';
import { prepareDecoding, type BatchSize } from '../../formats/recordDecoder.js';
import { RegistryError } from '../../formats/schemaRegistry.js';
import { Breaks } from '../../lib/breaks.js';
import { NoAnswerError, within } from '../../lib/within.js';
import { pointerOf } from '../../protocol/columnSource.js';
import type { KeyFunction, Layout } from '../../protocol/layout.js';
import { KEY, VALUE, type PayloadPart } from '../../protocol/payloadParts.js';
import { RECORD_MEMORY_BYTES_MAX } from '../../protocol/recordLimit.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import { isDecoded, type Mapping } from '../../protocol/settings.js';

/** Such a value is not decoded on this thread. Its record becomes no row. */
const TOO_LARGE = { code: null };

/**
 * Finds what a layout's pointer leads to in values, or keys, that are no JSON. A record that does not decode goes by its key, like
 * one in which the pointer leads to nothing.
 *
 * A record must always go to the same batcher, because only that one knows that it has accepted it. So nothing but the
 * record and its schema decide: neither what else is fetched with it, nor the schema's id.
 */
export class DecodedPointers {
  readonly #mapping: Mapping;
  readonly #decoders: Decoders | undefined;

  /** @param decoders undefined if there is no registry */
  constructor(mapping: Mapping, decoders: Decoders | undefined) {
    this.#mapping = mapping;
    this.#decoders = decoders;
  }

  /** Whether values or keys have to be decoded to find the batchers of their records. */
  areNeededFor({ keyFunction }: Layout): boolean {
    const { format, key } = this.#mapping;
    const { part } = pointedPart(keyFunction) ?? {};
    if (part === undefined) return false;
    return isDecoded(part === KEY ? (key?.format ?? 'bytes') : format);
  }

  /**
   * What the pointer of a layout leads to in each record, in order.
   *
   * @param limits.askMs how long the registry may take. What is asked goes on, and the next call has it
   * @param limits.decodeMs after this time the rest of the records is left out, but never all of them
   * @throws RegistryError
   */
  async of(
    source: RecordSource,
    records: readonly KafkaRecord[],
    { keyFunction }: Layout,
    { askMs, decodeMs }: { readonly askMs: number; readonly decodeMs: number } = NO_LIMITS,
  ): Promise<readonly PointedValue[]> {
    const { part, pointed } = pointedPart(keyFunction) ?? {};
    if (part === undefined || pointed === undefined) throw new Error(`there is no pointer in ${keyFunction}`);
    const { key, ...values } = this.#mapping;
    const parts = part === VALUE ? values : { format: 'bytes' as const, ...(key === undefined ? {} : { key }) };
    const sourced = records.map((record) => ({ source, record }));
    const prepared = await inTime(prepareDecoding(sourced, parts, this.#decoders), askMs);
    const size: BatchSize = { documentBytes: 0 };
    const decode = prepared?.(size) ?? ((_source, record) => record);
    const found: PointedValue[] = [];
    const until = performance.now() + decodeMs;
    const breaks = new Breaks();
    for (const record of records) {
      if (found.length > 0 && performance.now() >= until) break;
      // Each is decoded as if it were alone.
      size.documentBytes = 0;
      const decoded = part.lengthOf(record) > RECORD_MEMORY_BYTES_MAX ? TOO_LARGE : decode(source, record);
      found.push('code' in decoded ? null : scalarIn(decoded, pointed));
      if (breaks.isDue()) await breaks.take();
    }
    return found;
  }
}

/** The part of a record that a layout's pointer leads into, and the pointer. Null if it has none. */
function pointedPart(keyFunction: KeyFunction): {
  readonly part: PayloadPart;
  readonly pointed: NonNullable<ReturnType<typeof pointerOf>>;
} | null {
  const pointed = pointerOf(keyFunction);
  return pointed && { part: pointed.into === 'key' ? KEY : VALUE, pointed };
}

const NO_LIMITS = { askMs: Infinity, decodeMs: Infinity };

async function inTime<T>(asking: Promise<T>, askMs: number): Promise<T> {
  if (askMs === Infinity) return asking;
  try {
    return await within(asking, askMs);
  } catch (error) {
    if (!(error instanceof NoAnswerError)) throw error;
    asking.catch(() => undefined);
    throw new RegistryError('away', `the schema registry gives ${error.message} to all that is asked`);
  }
}
