import { UsageError } from '../../lib/usageError.js';
import type { RecordPlace } from '../../protocol/record.js';

/** `orders/3/12345`. @throws UsageError */
export function parsePlace(text: string): RecordPlace {
  const [, topic, partition, offset] = /^([a-zA-Z0-9._-]{1,249})\/(\d{1,9})\/(\d{1,15})$/.exec(text) ?? [];
  if (topic === undefined)
    throw new UsageError(`${text} is no record: say topic/partition/offset, such as orders/3/12345`);
  return { topic, partition: Number(partition), offset: Number(offset) };
}
