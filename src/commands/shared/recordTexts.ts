import type { Decoders } from '../../formats/decoders.js';
import { prepareDecoding } from '../../formats/recordDecoder.js';
import { messageOf } from '../../lib/messageOf.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import type { Mapping } from '../../protocol/settings.js';

/** A record for people. Bytes that are no UTF-8 appear as replacement characters. */
export interface RecordTexts {
  readonly key: string | null;
  readonly value: string | null;
  /** Why one of them is shown as it came, although the pipeline decodes it. Absent: it is not. */
  readonly notDecoded?: string;
}

/**
 * The key and the value of a record, decoded as the pipeline's workers do it. What does not decode is shown as it came.
 * Never rejects.
 *
 * @param decoders undefined if there is no registry
 * @param part whether the value is decoded, too
 */
export async function recordTexts(
  source: RecordSource,
  record: KafkaRecord,
  { key: keys, ...values }: Pick<Mapping, 'format' | 'avro' | 'protobuf' | 'key'>,
  decoders: Decoders | undefined,
  part: 'whole' | 'key' = 'whole',
): Promise<RecordTexts> {
  const reasons: string[] = [];
  const decoded = async (parts: Parameters<typeof prepareDecoding>[1]): Promise<KafkaRecord> => {
    try {
      const prepared = await prepareDecoding([{ source, record }], parts, decoders);
      const found = prepared?.()(source, record) ?? record;
      if (!('code' in found)) return found;
      reasons.push(found.message);
    } catch (error) {
      reasons.push(messageOf(error));
    }
    return record;
  };
  const { key } = keys === undefined ? record : await decoded({ format: 'bytes', key: keys });
  const { value } = part === 'key' ? record : await decoded(values);
  const why = reasons.length === 0 ? {} : { notDecoded: reasons.join('; ') };
  return { key: key?.toString() ?? null, value: value?.toString() ?? null, ...why };
}
