import { partitionName, type TopicPartition } from '../protocol/record.js';

/**
 * Says that a log goes on after what may be read.
 *
 * @param from where the first open transaction begins. Nothing is read from there on
 */
export function openTransactionText(where: TopicPartition, from: number): string {
  return `${partitionName(where)}: nothing is read from offset ${from} on: a transaction that began there is open`;
}
