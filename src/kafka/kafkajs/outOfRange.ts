import type { TopicPartition } from '../../protocol/record.js';
import { internalModule, type ConsumerGroup, type Repairable } from './internals.js';

/** The property of an assigner that has the handler for offsets out of range. */
export const OUT_OF_RANGE = Symbol.for('ktb:outOfRange');

/** Called when a log does not have the requested offset. It has to pause the partition before it returns. */
export type OutOfRangeHandler = (partition: TopicPartition) => void;

/**
 * Repairs what kafkajs does if a log does not have the requested offset. kafkajs *commits* its default position,
 * without metadata, over the group's offset, and continues there. The next owner of the partition would know nothing of
 * what was read. Repaired, it calls the handler of the consumer's assigner, and changes nothing. Consumers without a
 * handler are not changed.
 */
export function repairOutOfRange(): void {
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const recover = prototype.recoverFromOffsetOutOfRange;
  prototype.recoverFromOffsetOutOfRange = async function (error) {
    const handler = this.assigners.map((assigner) => assigner[OUT_OF_RANGE]).find((found) => found !== undefined);
    if (handler === undefined) await recover.call(this, error);
    else handler({ topic: error.topic, partition: error.partition });
  };
}
