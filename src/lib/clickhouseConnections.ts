/*
 * How many connections to ClickHouse a process needs, and how many flushes its connections are enough for. Readiness
 * checks use the same connections.
 */

/** So many connections a flush takes at once, at most: while it tries rows alone that may be refused. */
export const CONNECTIONS_OF_FLUSH = 4;

/** So many small flushes share a slot of `worker.maxConcurrentFlushes`. */
export const FLUSHES_PER_SLOT = 8;

/** The most that `clickhouse.maxConnections` may be. */
export const CONNECTIONS_MAX = 1_000;

/** For what is asked beside the flushes, such as whether ClickHouse answers. */
const BESIDE_FLUSHES = 4;

/** Connections for all slots full of small flushes, and one flush more of each pipeline. */
export function connectionsNeeded(slots: number, pipelines: number): number {
  const flushes = slots * FLUSHES_PER_SLOT + keptFree(pipelines);
  return Math.min(CONNECTIONS_MAX, flushes * CONNECTIONS_OF_FLUSH + BESIDE_FLUSHES);
}

/**
 * How many flushes may run before each further pipeline gets one more. At least as many as there are slots, also if
 * somebody has set too few connections for that.
 */
export function flushesMax(connections: number, slots: number, pipelines: number): number {
  const flushes = Math.floor((connections - BESIDE_FLUSHES) / CONNECTIONS_OF_FLUSH);
  return Math.max(slots, flushes - keptFree(pipelines));
}

/** Flushes: one for each pipeline, and for one that the configuration no longer names. */
function keptFree(pipelines: number): number {
  return pipelines + 1;
}
