import { setTimeout as sleep } from 'node:timers/promises';
import { recordSetOf } from './fetchResponse.js';
import { internalModule, type ConsumerGroup, type Repairable } from './internals.js';

/** With fewer bytes than this in an answer, the broker had hardly more, unless its log is in tiny segments. */
const FEW_BYTES = 32 * 1024;

/** The least time between such an answer and the next request, in milliseconds. */
const PACE_MS = 20;

/**
 * Lets a consumer wait a little before it fetches again from a broker that had only a few records. kafkajs asks again at
 * once. Then, at low rates, each record costs a request of its own, and that costs the consumer and the broker more than
 * all else that is done with it. A record that comes after a longer pause is fetched without delay.
 */
export function repairFetchPace(): void {
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const { fetch } = prototype;
  /** By broker, the earliest time of the next fetch, by `performance.now()`. */
  const earliest = new WeakMap<ConsumerGroup, Map<string, number>>();
  prototype.fetch = async function (nodeId) {
    const ofGroup = earliest.get(this) ?? new Map<string, number>();
    earliest.set(this, ofGroup);
    const waitMs = (ofGroup.get(nodeId) ?? 0) - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const batches = await fetch.call(this, nodeId);
    const bytes = batches.reduce((sum, { rawMessages }) => sum + recordSetOf(rawMessages).bytes.length, 0);
    ofGroup.set(nodeId, bytes > 0 && bytes < FEW_BYTES ? performance.now() + PACE_MS : 0);
    return batches;
  };
}
