import type { KafkaRecord } from '../../protocol/record.js';

/** A copy of the record with its own bytes. Otherwise the record keeps everything alive that was fetched with it. */
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
