import type { KafkaRecord } from '../../protocol/record.js';

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
