import type { IHeaders, KafkaMessage } from 'kafkajs';
import { groupBy } from '../../src/lib/groupBy.js';
import type { RecordHeader } from '../../src/protocol/record.js';

/**
 * A message as kafkajs gives it, also if a test file before this one has repaired kafkajs in the same process: then its
 * headers are a list. Headers of one name become an array.
 */
export function asKafkajsGives(message: KafkaMessage): KafkaMessage {
  const { key, value, timestamp, attributes, offset } = message;
  return { key, value, timestamp, attributes, offset, headers: headersOf(message) };
}

export function headersOf({ headers = {} }: Pick<KafkaMessage, 'headers'>): IHeaders {
  if (!Array.isArray(headers)) return headers;
  const byName = groupBy(headers as readonly RecordHeader[], ([name]) => name);
  const values = Array.from(byName, ([name, all]) => [name, all.map(([, value]) => value)] as const);
  return Object.fromEntries(values.map(([name, all]) => [name, all.length === 1 ? all[0] : all])) as IHeaders;
}
