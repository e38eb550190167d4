import kafkajs, { type PartitionAssigner } from 'kafkajs';
import { OUT_OF_RANGE, type OutOfRangeHandler } from './kafkajs/outOfRange.js';
import { PARTITION_ERROR, type PartitionErrorHandler } from './kafkajs/partitionErrors.js';

/**
 * kafkajs's round robin, and the moment at which the old assignment ends: kafkajs has no callback for a revocation, but asks
 * its assigner for the protocol's metadata each time it begins to join.
 *
 * @param onJoin called before the group hears of the joining: from then on the old assignment counts no more
 * @param onOutOfRange told of a partition whose log does not have the offset that was asked for
 * @param onPartitionError told of a partition that its broker does not give, and that it gives it again
 */
export function fencingAssigner(
  onJoin: () => void,
  onOutOfRange: OutOfRangeHandler,
  onPartitionError: PartitionErrorHandler,
): PartitionAssigner {
  return (config) => {
    const assigner = kafkajs.PartitionAssigners.roundRobin(config);
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
