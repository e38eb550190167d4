import type { BatcherStatus } from '../../protocol/batcher.js';

/** Records that a batcher has accepted and not flushed: those in its buffer and in the batch that is being flushed. */
export function unflushedRecords({ bufferedRecords, flushing }: BatcherStatus): number {
  return bufferedRecords + (flushing?.records ?? 0);
}
