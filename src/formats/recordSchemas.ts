import { ProtobufReader } from './protobufReader.js';
import { hasHeader, HEADER_BYTES, ID_MAX } from './recordDecoder.js';
import { UndecodableError } from './errors.js';

/** What a value was written with: a schema, and of Protobuf which of the messages of its file. */
export interface WrittenWith {
  readonly id: number;
  /** The place of a message among those of its file, then among those within it, and so on. Of Protobuf only. */
  readonly indexes: readonly number[];
}

/** Different ones that are told from each other. */
const DIFFERENT_MAX = 100;

/**
 * What values were written with, each once, the last one first. Values without a registry's header are left out.
 *
 * @param values their bytes. Of very many different ones, the last
 */
export function writtenWith(values: Iterable<Buffer>, isProtobuf: boolean): WrittenWith[] {
  const found = new Map<string, WrittenWith>();
  for (const bytes of values) {
    if (!hasHeader(bytes, 0, bytes.length)) continue;
    const id = bytes.readUInt32BE(1);
    const indexes = isProtobuf ? messageIndexes(bytes) : [];
    if (indexes === null || id > ID_MAX) continue;
    const key = `${id}/${indexes.join('.')}`;
    found.delete(key);
    found.set(key, { id, indexes });
    const [oldest] = found.keys();
    if (found.size > DIFFERENT_MAX && oldest !== undefined) found.delete(oldest);
  }
  return [...found.values()].reverse();
}

/** Messages within each other, at most. Far more than any file has. */
const INDEXES_MAX = 100;

/** Null if the bytes have none. */
function messageIndexes(bytes: Buffer): readonly number[] | null {
  const reader = new ProtobufReader();
  reader.set(bytes, HEADER_BYTES, bytes.length);
  try {
    const count = reader.varint() / 2;
    if (count === 0) return [0];
    if (count > INDEXES_MAX) return null;
    return Array.from({ length: count }, () => reader.varint() / 2);
  } catch (error) {
    if (error instanceof UndecodableError) return null;
    throw error;
  }
}
