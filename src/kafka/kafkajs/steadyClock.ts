import { internalModule, type Repairable, type RequestQueue, type SocketRequest } from './internals.js';

/** `consumer/consumerGroup` */
interface ConsumerGroup {
  lastRequest: number;
  heartbeat: (this: ConsumerGroup, options: { interval: number }) => Promise<void>;
}

/** `cluster/brokerPool` */
interface BrokerPool {
  readonly metadataMaxAge: number;
  /** Null where the metadata are to be fetched in any case. */
  metadataExpireAt: number | null;
  refreshMetadata: (this: BrokerPool, topics: readonly string[]) => Promise<void>;
  refreshMetadataIfNecessary: (this: BrokerPool, topics: readonly string[]) => Promise<void>;
}

/** Milliseconds since 1970 as the wall clock said at the start; from then on nobody sets it. */
export function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * kafkajs measures durations by the wall clock. Where that is set back, by an hour for instance, no heartbeat is sent for an
 * hour while reading goes on, no request times out, a throttled connection sends nothing, and metadata do not age. Where it is
 * set forward every request on its way times out. From here on they are measured by a clock that nobody sets.
 *
 * It also ends a timer of a millisecond that kafkajs restarts for ever on each connection (kafkajs#1751).
 */
export function measureBySteadyClock(): void {
  repairRequests();
  repairHeartbeats();
  repairMetadataAge();
}

function repairRequests(): void {
  const { prototype: request } = internalModule('network/requestQueue/socketRequest') as Repairable<SocketRequest>;
  const { prototype: queue } = internalModule('network/requestQueue') as Repairable<RequestQueue>;
  const { send } = request;
  request.send = function () {
    send.call(this);
    this.sentAt = steadyNow();
  };
  queue.scheduleRequestTimeoutCheck = function () {
    if (!this.enforceRequestTimeout) return;
    this.destroy();
    this.requestTimeoutIntervalId = setInterval(
      () => {
        for (const sent of [...this.inflight.values()])
          if (steadyNow() - (sent.sentAt ?? 0) > sent.requestTimeout) sent.timeoutRequest();
        if (!this.isConnected()) this.destroy();
      },
      Math.min(this.requestTimeout, 100),
    );
  };
  queue.maybeThrottle = function (throttleMs) {
    if (typeof throttleMs !== 'number' || throttleMs <= 0) return;
    this.throttledUntil = Math.max(steadyNow() + throttleMs, this.throttledUntil);
  };
  queue.canSendSocketRequestImmediately = function () {
    const isFull = this.maxInFlightRequests !== null && this.inflight.size >= this.maxInFlightRequests;
    return !isFull && this.throttledUntil <= steadyNow();
  };
  queue.scheduleCheckPendingRequests = function () {
    if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return;
    // Where it waits for an answer and not for the end of throttling, that answer has it checked, too.
    const waitMs = Math.max(this.throttledUntil - steadyNow(), CHECK_PENDING_MS);
    this.throttleCheckTimeoutId = setTimeout(() => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    }, waitMs);
  };
}

const CHECK_PENDING_MS = 10;

function repairHeartbeats(): void {
  const { prototype: group } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const lastBeats = new WeakMap<ConsumerGroup, number>();
  const { heartbeat } = group;
  group.heartbeat = async function ({ interval }) {
    if (steadyNow() < (lastBeats.get(this) ?? -Infinity) + interval) return;
    // Its own clock always agrees.
    this.lastRequest = -Infinity;
    await heartbeat.call(this, { interval });
    lastBeats.set(this, steadyNow());
  };
}

function repairMetadataAge(): void {
  const { prototype: pool } = internalModule('cluster/brokerPool') as Repairable<BrokerPool>;
  const fetchedAt = new WeakMap<BrokerPool, number>();
  const { refreshMetadata, refreshMetadataIfNecessary } = pool;
  pool.refreshMetadata = async function (topics) {
    await refreshMetadata.call(this, topics);
    fetchedAt.set(this, steadyNow());
  };
  pool.refreshMetadataIfNecessary = function (topics) {
    const isOld = steadyNow() > (fetchedAt.get(this) ?? -Infinity) + this.metadataMaxAge;
    if (this.metadataExpireAt !== null) this.metadataExpireAt = isOld ? null : Infinity;
    return refreshMetadataIfNecessary.call(this, topics);
  };
}
