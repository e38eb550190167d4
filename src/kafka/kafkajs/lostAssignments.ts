import { internalModule, type ConsumerGroup, type Repairable } from './internals.js';

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
 * rebalance. Repaired, it joins again.
 *
 * kafkajs's fetchers may join at the same time. What one of them has heard may be older than what another one has lost. So
 * after joins that overlap, all of them must have heard. A fetch waits for joins: if it joined itself, they would overlap
 * for ever. To be called once.
 */
export function repairLostAssignments(): void {
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const { KafkaJSProtocolError } = internalModule('errors') as Record<string, ProtocolError>;
  if (KafkaJSProtocolError === undefined)
    throw new Error('kafkajs has no error of the protocol: it is another version');
  const { joinAndSync, fetch } = prototype;
  const joins = new WeakMap<ConsumerGroup, Joins>();
  prototype.joinAndSync = async function () {
    const before = joins.get(this);
    const ofGroup: Joins =
      before !== undefined && before.running.size > 0 ? before : { running: new Set(), isLost: false };
    joins.set(this, ofGroup);
    const join = joinAndSync.call(this);
    ofGroup.running.add(join);
    try {
      await join;
    } catch (error) {
      ofGroup.isLost = true;
      throw error;
    } finally {
      ofGroup.running.delete(join);
    }
  };
  prototype.fetch = async function (nodeId) {
    for (let running = joins.get(this)?.running; running !== undefined && running.size > 0;) {
      await Promise.allSettled(running);
      running = joins.get(this)?.running;
    }
    if (joins.get(this)?.isLost === true) throw new KafkaJSProtocolError(JOIN_AGAIN);
    return fetch.call(this, nodeId);
  };
}

/** The joins of a member that overlap. */
interface Joins {
  readonly running: Set<Promise<void>>;
  /** Whether the answer to one of them was lost. */
  isLost: boolean;
}
