import { setTimeout as sleep } from 'node:timers/promises';
import type { ClickHouseClient } from '@clickhouse/client';
import { InsertError } from './insertErrors.js';
import type { NamedTable } from './namedTables.js';
import { queryRows, unlessDenied } from './queries.js';

/** How long a replica is waited for: while it gets no nearer, in all, and between two questions. */
const STANDSTILL_MAX_MS = 10_000;
const CATCH_UP_MAX_MS = 120_000;
const ASK_AGAIN_MS = 250;

/** The clocks of replicas, Temporal and workers may differ by so much. If they differ by more, a row may come twice. */
export const CLOCKS_DIFFER_MAX_MS = 600_000;

/**
 * Resolves when the server has all rows that the other replicas of a table had when this was called. At once if the table
 * is not replicated, or the user may not ask: that must not hold a batch for ever.
 *
 * What others take later is not waited for: under load there is always something. A replica that gets nearer is given more
 * time. Otherwise one that is always some seconds behind would be given up each time, and the next attempt, which may follow
 * an insert of another one, has to begin with a later end.
 *
 *     call ──► the end of the log in Keeper is noted ──all up to it is in the replica's queue──► the end of the queue is
 *     noted ──nothing up to it waits──► caught up
 *
 * @param options.ageMs the rows that matter are no older. What has waited for longer cannot have them: its source may
 *   never come back. Default: they may be of any age
 * @param options.mustBeAlive called before each question. What it throws ends the waiting
 * @param options.pause waits for some milliseconds. Default: a timer
 * @throws InsertError if the server does not have them by then. The next attempt may be luckier
 */
export async function caughtUp(
  client: ClickHouseClient,
  table: NamedTable,
  {
    ageMs = Infinity,
    mustBeAlive = () => undefined,
    pause = sleep,
  }: CatchUpOptions & { readonly pause?: (delayMs: number) => Promise<unknown> } = {},
): Promise<void> {
  const sinceMs = performance.now();
  const others = new OtherReplicas(client, table, ageMs);
  let last = { place: '', sinceMs };
  for (;;) {
    mustBeAlive();
    if (await others.areReached()) return;
    const nowMs = performance.now();
    if (others.place !== last.place) last = { place: others.place, sinceMs: nowMs };
    if (nowMs - last.sinceMs >= STANDSTILL_MAX_MS || nowMs - sinceMs >= CATCH_UP_MAX_MS) {
      const message = `a part of the batch is in table ${table.table}, and this replica still lacks what others have taken: the rest may be among it`;
      // It is no answer about the batch, so the time does not count for `insert.retryFor`.
      throw new InsertError('transient', { code: 'replica_lags', message, answered: false });
    }
    await pause(ASK_AGAIN_MS);
  }
}

export interface CatchUpOptions {
  readonly ageMs?: number;
  readonly mustBeAlive?: () => void;
}

/** What the other replicas of a table had at the first question. */
class OtherReplicas {
  readonly #client: ClickHouseClient;
  readonly #parameters: Record<string, unknown>;
  /** The last entry of the log at the first question. */
  #logEnd: number | undefined;
  #isQueued = false;
  /** The last entry of the queue at the first look at it. */
  #queueEnd: string | undefined;
  /** How far the replica is. It changes whenever the replica gets nearer. */
  #place = '';

  constructor(client: ClickHouseClient, { database, name }: NamedTable, ageMs: number) {
    this.#client = client;
    const seconds = Math.min(Math.ceil((ageMs + CLOCKS_DIFFER_MAX_MS) / 1000), Number.MAX_SAFE_INTEGER);
    this.#parameters = { database, table: name, seconds };
  }

  get place(): string {
    return this.#place;
  }

  /** Whether this replica has it by now. To be asked again, a moment later, until it has. */
  async areReached(): Promise<boolean> {
    const [replica] = await unlessDenied(queryRows<Replica>(this.#client, REPLICA, this.#parameters), []);
    if (replica === undefined) return true;
    const [knowsLog, logPointer, logMaxIndex, inserts] = replica;
    if (this.#isQueued) return this.#areDone(inserts);
    if (knowsLog === 0) return false;
    this.#logEnd ??= Number(logMaxIndex);
    // Keeper has the pointer before the server has the entries in its queue. So the queue is looked at a moment later.
    this.#isQueued = Number(logPointer) > this.#logEnd;
    this.#place = String(logPointer);
    return false;
  }

  /** @param inserts how many wait in the queue */
  async #areDone(inserts: number): Promise<boolean> {
    if (inserts === 0) return true;
    const asked = queryRows<[string, string]>(this.#client, WAITING_INSERTS, this.#parameters);
    const queue = await unlessDenied(asked, null);
    if (queue === null) return false;
    const [first, last] = queue[0] ?? ['', ''];
    this.#queueEnd ??= last;
    this.#place = first;
    return first === '' || first > this.#queueEnd;
  }
}

type Replica = readonly [knowsLog: number, logPointer: number | string, logMaxIndex: number | string, inserts: number];

/** Source: `system.replicas` in ClickHouse's documentation, and `StorageReplicatedMergeTree::getStatus`. */
const REPLICA = `
  SELECT NOT is_session_expired AND zookeeper_exception = '', log_pointer, log_max_index, inserts_in_queue
  FROM system.replicas WHERE database = {database:String} AND table = {table:String}`;

/**
 * The first and the last entry that brings rows: names of one length, which count up. Empty if there is none. An entry
 * without a time may be of any age.
 *
 * Source: `system.replication_queue` in ClickHouse's documentation. The types are those that `inserts_in_queue` counts.
 */
export const WAITING_INSERTS = `
  SELECT min(node_name), max(node_name) FROM system.replication_queue
  WHERE database = {database:String} AND table = {table:String} AND type IN ('GET_PART', 'ATTACH_PART')
    AND (toUnixTimestamp(create_time) = 0
      OR toUnixTimestamp(now()) - toUnixTimestamp(create_time) <= {seconds:Int64})`;
