/*
 * How many connections to ClickHouse a process needs, and how many flushes its connections are enough for. A flush takes
 * one at a time, for its inserts and for its questions. Readiness checks use the same connections.
 */

/** So many small flushes share a slot of `worker.maxConcurrentFlushes`. */
export const SMALL_FLUSHES_OF_SLOT = 8;

/** The most that `clickhouse.maxConnections` may be. */
export const CONNECTIONS_MAX = 1_000;

/** For what is asked beside the flushes, such as whether ClickHouse answers. */
const BESIDE_FLUSHES = 4;

/** Connections for all slots full of small flushes, and one flush more of each pipeline. */
export function connectionsNeeded(slots: number, pipelines: number): number {
  return Math.min(CONNECTIONS_MAX, slots * SMALL_FLUSHES_OF_SLOT + keptFree(pipelines));
}

/**
 * How many flushes may run before each further pipeline gets one more. At least as many as there are slots, also if
 * somebody has set too few connections for that.
 */
export function flushesMax(connections: number, slots: number, pipelines: number): number {
  return Math.max(slots, connections - keptFree(pipelines));
}

/** One for each pipeline, and for one that the configuration no longer names. */
function keptFree(pipelines: number): number {
  return pipelines + 1 + BESIDE_FLUSHES;
}
