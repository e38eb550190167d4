import kafkajs, { type PartitionAssigner } from 'kafkajs';

/**
 * kafkajs's round robin, and the moment at which the old assignment ends: kafkajs has no callback for a revocation, but asks
 * its assigner for the protocol's metadata each time it begins to join.
 *
 * @param onJoin called before the group hears of the joining: from then on the old assignment counts no more
 */
export function fencingAssigner(onJoin: () => void): PartitionAssigner {
  return (config) => {
    const assigner = kafkajs.PartitionAssigners.roundRobin(config);
    return {
      ...assigner,
      protocol: (subscription) => {
        onJoin();
        return assigner.protocol(subscription);
      },
    };
  };
}
