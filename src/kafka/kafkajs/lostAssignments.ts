import { internalModule, type Repairable } from './internals.js';

/** The parts of kafkajs's `consumer/consumerGroup` that are used here. */
interface ConsumerGroup {
  joinAndSync: (this: ConsumerGroup) => Promise<void>;
  fetch: (this: ConsumerGroup, nodeId: string) => Promise<unknown>;
}

type ProtocolError = new (error: typeof JOIN_AGAIN) => Error;

/** As a broker says that the member has to join again. kafkajs does so after any request that has this answer. */
const JOIN_AGAIN = {
  type: 'REBALANCE_IN_PROGRESS',
  code: 27,
  retriable: true,
  message: 'The answer with the assigned partitions is lost, so the member joins again',
};

/**
 * Repairs what kafkajs does when a member has joined and the answer with its partitions does not come, for example because
 * the connection breaks. It then goes on to fetch the partitions that it had before. Its heartbeats have the new
 * generation, so the coordinator is content. The partitions that it was given are read by nobody, until the next
 * rebalance. Repaired, it joins again. To be called once.
 */
export function repairLostAssignments(): void {
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const { KafkaJSProtocolError } = internalModule('errors') as Record<string, ProtocolError>;
  if (KafkaJSProtocolError === undefined)
    throw new Error('kafkajs has no error of the protocol: it is another version');
  const { joinAndSync, fetch } = prototype;
  const withoutAssignment = new WeakSet<ConsumerGroup>();
  prototype.joinAndSync = async function () {
    withoutAssignment.add(this);
    await joinAndSync.call(this);
    withoutAssignment.delete(this);
  };
  prototype.fetch = async function (nodeId) {
    if (withoutAssignment.has(this)) throw new KafkaJSProtocolError(JOIN_AGAIN);
    return fetch.call(this, nodeId);
  };
}
