/*
 * Changes of a table, as Debezium's connectors write them. Source: the sections on data change events of its documentation.
 */

export interface Customer {
  readonly id: number;
  readonly name: string | null;
  readonly balance: string;
}

/** A change of one row, with its place in the source's log. */
export interface Change {
  readonly op: 'c' | 'r' | 'u' | 'd';
  readonly before: Customer | null;
  readonly after: Customer | null;
  /** Counts the changes of all rows, from 1. */
  readonly at: number;
}

/** Random changes of a table, and what is in it at the end. */
export function randomChanges(
  count: number,
  random: () => number,
): { readonly changes: readonly Change[]; readonly table: ReadonlyMap<number, Customer> } {
  const table = new Map<number, Customer>();
  const changes: Change[] = [];
  for (let at = 1; at <= count; at++) {
    const id = Math.floor(random() * (count / 8));
    const before = table.get(id) ?? null;
    const isDeleted = before !== null && random() < 0.3;
    const after = isDeleted ? null : { id, name: random() < 0.2 ? null : `name ${at}`, balance: `${at}.50` };
    if (after === null) table.delete(id);
    else table.set(id, after);
    changes.push({ op: opOf(before, after, at), before, after, at });
  }
  return { changes, table };
}

function opOf(before: Customer | null, after: Customer | null, at: number): Change['op'] {
  if (after === null) return 'd';
  if (before !== null) return 'u';
  return at < 20 ? 'r' : 'c';
}

const TIME_MS = 1_700_000_000_000;

/** By PostgreSQL's connector. Without REPLICA IDENTITY FULL what was deleted has its key only. */
export function ofPostgres({ op, before, after, at }: Change): object {
  return {
    before: op === 'd' && before !== null ? { id: before.id, name: null, balance: null } : null,
    after,
    source: {
      version: '2.7.4.Final',
      connector: 'postgresql',
      name: 'fulfillment',
      ts_ms: TIME_MS + at,
      snapshot: op === 'r' ? 'true' : 'false',
      db: 'postgres',
      sequence: `["${24_023_000 + at - 1}","${24_023_000 + at}"]`,
      ts_us: (TIME_MS + at) * 1_000,
      ts_ns: (TIME_MS + at) * 1_000_000,
      schema: 'public',
      table: 'customers',
      txId: 555 + at,
      lsn: 24_023_000 + at,
      xmin: null,
    },
    transaction: null,
    op,
    ts_ms: TIME_MS + at + 27,
  };
}

/** Changes in one binary log of MySQL before there is another. The next log begins at the first position again. */
const CHANGES_OF_LOG = 70;

/** By MySQL's connector. */
export function ofMysql({ op, before, after, at }: Change): object {
  return {
    before,
    after,
    source: {
      version: '2.7.4.Final',
      connector: 'mysql',
      name: 'mysql-server-1',
      ts_ms: TIME_MS + at,
      snapshot: op === 'r' ? 'true' : 'false',
      db: 'inventory',
      sequence: null,
      table: 'customers',
      server_id: 223_344,
      gtid: null,
      file: `mysql-bin.${String(9 + Math.floor(at / CHANGES_OF_LOG)).padStart(6, '0')}`,
      pos: 154 + (at % CHANGES_OF_LOG) * 311,
      row: 0,
      thread: 7,
      query: null,
    },
    op,
    ts_ms: TIME_MS + at + 27,
  };
}

/** As a JSON converter with `schemas.enable` writes it. */
export function withSchema(payload: object): object {
  const fields = ['before', 'after', 'source', 'op', 'ts_ms'].map((field) => ({
    type: 'struct',
    optional: true,
    field,
  }));
  return { schema: { type: 'struct', fields, optional: false, name: 'server.customers.Envelope' }, payload };
}

/** Events in another order, some of them twice: as after restarts of a connector, and over several partitions. */
export function outOfOrder<Event>(events: readonly Event[], random: () => number): Event[] {
  const repeated = events.flatMap((event) => (random() < 0.2 ? [event, event] : [event]));
  return repeated
    .map((event, index) => [index + random() * 600, event] as const)
    .toSorted(([one], [other]) => one - other)
    .map(([, event]) => event);
}

/** Numbers that are the same in each run. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}
