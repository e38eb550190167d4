import type { KafkaRecord } from '../../protocol/record.js';

/**
 * What the objects of one record, and of one header, take while the record waits in a lane, beside what it counts in `recordBytes`:
 * measured with Node 20.
 */
const RECORD_OBJECT_BYTES = 330;
const HEADER_OBJECT_BYTES = 200;

/**
 * Bytes that a record takes in memory, about.
 *
 * @param bytes what it counts in `recordBytes`
 */
export function memoryBytes({ headers }: Pick<KafkaRecord, 'headers'>, bytes: number): number {
  return bytes + RECORD_OBJECT_BYTES + headers.length * HEADER_OBJECT_BYTES;
}

/** The same record with bytes of its own: otherwise it keeps alive all that it was fetched with. */
export function detached(record: KafkaRecord): KafkaRecord {
  const { key, value, headers } = record;
  return {
    ...record,
    key: copy(key),
    value: copy(value),
    headers: headers.map(([name, bytes]) => [name, copy(bytes)] as const),
  };
}

function copy(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes);
}
