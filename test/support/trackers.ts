import { READING } from '../../src/consumer/partitions/commitMetadata.js';
import { PartitionTracker, type ReadingPlan } from '../../src/consumer/partitions/tracker.js';
import type { Layout } from '../../src/protocol/layout.js';
import type { RecordSource } from '../../src/protocol/record.js';

export const LAYOUT: Layout = { batchers: 8, keyFunction: 'key' };

/** A partition that is read on and on, if no other plan is given. */
export function tracker(
  source: Partial<RecordSource> = {},
  start = 0,
  plan: Partial<ReadingPlan> = {},
): PartitionTracker {
  const whole = { topic: 'orders', partition: 0, epoch: 'e', ...source };
  return new PartitionTracker(whole, start, { layout: LAYOUT, state: READING, end: null, ...plan });
}
