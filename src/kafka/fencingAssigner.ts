import type { PartitionAssigner } from 'kafkajs';
import { groupAssigner } from './groupAssigner.js';
import { OUT_OF_RANGE, type OutOfRangeHandler } from './kafkajs/outOfRange.js';
import { PARTITION_ERROR, type PartitionErrorHandler } from './kafkajs/partitionErrors.js';

/**
 * {@link groupAssigner}, which also tells when the old assignment ends. kafkajs has no callback for a
 * revocation, but it asks its assigner for the protocol's metadata whenever it begins to join.
 *
 * @param onJoin called before the group hears of the joining. The old assignment is no longer valid then
 * @param onOutOfRange called for a partition whose log does not have the requested offset
 * @param onPartitionError called when a broker answers with an error for a partition, and when it serves the partition
 *   again
 */
export function fencingAssigner(
  onJoin: () => void,
  onOutOfRange: OutOfRangeHandler,
  onPartitionError: PartitionErrorHandler,
): PartitionAssigner {
  return (config) => {
    const assigner = groupAssigner(config);
    return {
      ...assigner,
      [OUT_OF_RANGE]: onOutOfRange,
      [PARTITION_ERROR]: onPartitionError,
      protocol: (subscription) => {
        onJoin();
        return assigner.protocol(subscription);
      },
    };
  };
}
