import { internalModule, type ConsumerGroup, type Repairable } from './internals.js';

/** The property of an assigner that has the look for partitions that nobody is assigned. */
export const STALE_TOPIC = Symbol.for('ktb:staleTopic');

/** A topic with partitions that did not exist when the group's partitions were divided. */
export interface StaleTopic {
  readonly topic: string;
  readonly unknownPartitions: readonly number[];
}

type StaleError = new (message: string, topic: StaleTopic) => Error;

/**
 * Repairs how kafkajs finds new partitions. Each member looks only at its own topics, and joins again when one of them
 * has a new partition. But Kafka lets the group rebalance only if its leader joins again. So a new partition of a topic
 * that the leader does not read would be assigned to nobody. Repaired, the consumer's assigner is asked, too, before
 * each fetch. Consumers whose assigner does not look are not changed. To be called once.
 */
export function repairStaleTopics(): void {
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const { KafkaJSStaleTopicMetadataAssignment: Stale } = internalModule('errors') as Record<string, StaleError>;
  if (Stale === undefined) throw new Error('kafkajs has no error for new partitions: it is another version');
  const { checkForStaleAssignment } = prototype;
  prototype.checkForStaleAssignment = function () {
    checkForStaleAssignment.call(this);
    for (const assigner of this.assigners) {
      const stale = assigner[STALE_TOPIC]?.() ?? null;
      if (stale !== null) throw new Stale('Topic has been updated', stale);
    }
  };
}
