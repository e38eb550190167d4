import {
  internalModule,
  type ConsumerGroup,
  type Repairable,
  type RequestQueue,
  type SocketRequest,
} from './internals.js';

/** `cluster/brokerPool` */
interface BrokerPool {
  readonly metadataMaxAge: number;
  /** Null if the metadata has to be fetched in any case. */
  metadataExpireAt: number | null;
  refreshMetadata: (this: BrokerPool, topics: readonly string[]) => Promise<void>;
  refreshMetadataIfNecessary: (this: BrokerPool, topics: readonly string[]) => Promise<void>;
}

/**
 * Milliseconds since 1970 by the wall clock at the start of the process, and from then on by a clock that nobody can
 * set.
 */
export function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * kafkajs measures durations by the wall clock. If that is set back by an hour, then for an hour no heartbeat is sent
 * although reading goes on, no request times out, a throttled connection sends nothing, and metadata does not age. If
 * it is set forward, all requests in flight time out. Repaired, durations are measured by a clock that nobody can set.
 *
 * The repair also stops a timer of one millisecond that kafkajs restarts for ever on each connection (kafkajs#1751).
 */
export function repairClock(): void {
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
    // If it waits for an answer, not for the end of throttling, that answer starts this check, too.
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
    // So kafkajs's own check always passes.
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
