import { createRequire } from 'node:module';
import type { TopicPartition } from '../../protocol/record.js';

const require = createRequire(import.meta.url);

/** Where an assigner has a handler of offsets that are out of range. */
export const OUT_OF_RANGE = Symbol('ktb:outOfRange');

/** A log does not have the offset that was asked for. The handler has to pause the partition before it returns. */
export type OutOfRangeHandler = (partition: TopicPartition) => void;

interface ConsumerGroup {
  readonly assigners: readonly { readonly [OUT_OF_RANGE]?: OutOfRangeHandler }[];
}

let repaired = false;

/**
 * Repairs what kafkajs does where a log does not have the offset that it asks for: it *commits* its default position, without
 * metadata, over the group's offset, and goes on there. Whoever gets the partition next would know nothing of what was read.
 * Repaired, it tells the handler that the consumer's assigner carries, and changes nothing; a consumer without a handler is as
 * before. Called more than once it does nothing more.
 */
export function repairOutOfRange(): void {
  if (repaired) return;
  repaired = true;
  const { prototype } = require('kafkajs/src/consumer/consumerGroup') as {
    prototype: { recoverFromOffsetOutOfRange: (this: ConsumerGroup, error: TopicPartition) => Promise<void> };
  };
  const recover = prototype.recoverFromOffsetOutOfRange;
  prototype.recoverFromOffsetOutOfRange = async function (error) {
    const handler = this.assigners.map((assigner) => assigner[OUT_OF_RANGE]).find((found) => found !== undefined);
    if (handler === undefined) await recover.call(this, error);
    else handler({ topic: error.topic, partition: error.partition });
  };
}
