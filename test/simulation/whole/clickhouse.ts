import { InsertError } from '../../../src/clickhouse/insertErrors.js';
import type { BatchInsertOptions } from '../../../src/clickhouse/insertOptions.js';
import { InsertSizes } from '../../../src/clickhouse/insertSizes.js';
import type { Clock, Process } from './clock.js';
import type { Network } from './network.js';

/** How long an insert and a look-up take. */
const INSERT_MS = 12;
const LOOK_UP_MS = 3;
const SLOW_MIN_MS = 1_000;

const COLUMNS = new Map([
  ...['_topic', '_epoch', 'id'].map((name) => [name, 'String'] as const),
  ['_partition', 'UInt32'],
  ['_offset', 'UInt64'],
  ['_timestamp', 'DateTime64(3)'],
  ['refused', 'String'],
] as const);

/** A row as it is in the table. */
export interface Row {
  readonly id: string;
  readonly _topic: string;
  readonly _partition: number;
  readonly _epoch: string;
  readonly _offset: number;
  readonly _timestamp: string;
  readonly refused?: string;
}

export interface TableWatch {
  /** @param batch of the insert that brought them. `hadRefused`: an insert of it was refused before */
  readonly inserted: (rows: readonly Row[], batch: string, hadRefused: boolean) => void;
  readonly tell: (what: string) => void;
}

interface RunningInsert {
  readonly batch: string;
  readonly token: string;
  isGone: boolean;
}

/**
 * ClickHouse with one table: all rows of an insert or none; a token drops what comes again under it, as long as it is
 * among the last ones; an insert whose connection breaks may still be running.
 */
export class SimulatedClickHouse {
  readonly #clock: Clock;
  readonly #network: Network;
  readonly #watch: TableWatch;
  /** The tokens that it remembers, oldest first. */
  readonly #tokens = new Set<string>();
  readonly #tokensMax: number;
  readonly #running = new Set<RunningInsert>();
  readonly #refusedBatches = new Set<string>();
  /** Batches that may come in other parts the next time. That such a part also comes late is more than is promised. */
  readonly #looseBatches = new Set<string>();
  /** Offsets by source. */
  readonly #offsets = new Map<string, Set<number>>();
  /** By partition, its records by offset and second. */
  readonly #records = new Map<string, Map<string, number>>();
  /** Until when the table does not exist. */
  missingUntilMs = 0;
  #slow: { readonly process: Process; readonly ms: number }[] = [];

  /** @param tokensMax the deduplication window */
  constructor(clock: Clock, network: Network, watch: TableWatch, tokensMax: number) {
    this.#clock = clock;
    this.#network = network;
    this.#watch = watch;
    this.#tokensMax = tokensMax;
  }

  /** The next insert of a process runs for a while. Its connection breaks meanwhile. */
  slowDown(process: Process, ms: number): void {
    this.#slow.push({ process, ms: Math.max(SLOW_MIN_MS, ms) });
  }

  heal(): void {
    this.#slow = [];
    this.missingUntilMs = 0;
  }

  /** From now on nothing may come that was sent before and given up: a rewind would not see it. */
  takesNoLateInserts(): void {
    this.#isLateLost = true;
    for (const running of this.#running) running.isGone = true;
    this.#running.clear();
  }

  #isLateLost = false;

  /** It is killed and comes back. What was being inserted is gone, though a token may be noted already. */
  restart(notesTokens: boolean): void {
    for (const running of this.#running) {
      running.isGone = true;
      this.#looseBatches.add(running.batch);
      if (notesTokens) this.#remember(running.token);
    }
    this.#running.clear();
  }

  /** As a worker uses it. */
  tablesOf(process: Process): BatchInsertOptions['tables'] {
    let lastInsertAtMs: number | undefined;
    const ask = <Answer>(serve: () => Answer) =>
      this.#network.ask(process, 'clickhouse.lookUp', serve, unanswered, LOOK_UP_MS);
    return {
      columns: () =>
        ask(() => {
          this.#mustBeThere();
          return Object.assign(new Map(COLUMNS), { hasViews: false });
        }),
      forget: () => undefined,
      probe: () => ask(() => this.#mustBeThere()),
      lastInsertAtMs: () => lastInsertAtMs,
      sizes: new InsertSizes(),
      hasViews: () => ask(() => false),
      caughtUp: () => ask(() => false),
      mayLoseKnownRows: () => ask(() => true),
      knowsTokens: () => ask(() => true),
      rememberedBy: () => ask(() => 'orders'),
      isInserting: (batch) => ask(() => [...this.#running].some((running) => running.batch === batch)),
      foundOffsets: (_table, { topic, partition, epoch }, { from, to, isOwn }) =>
        ask(() => {
          this.#mustBeThere();
          const found = this.#offsets.get(`${topic}/${partition}/${epoch}`) ?? new Set<number>();
          return new Set([...found].filter((offset) => offset >= from && offset <= to && (isOwn?.(offset) ?? true)));
        }),
      foundRowNumbers: () => Promise.reject(new Error('each record is one row')),
      foundRowNumbersOfRecords: () => Promise.reject(new Error('each record is one row')),
      foundRecords: (_table, _columns, { topic, partition }, { from, to, isOwn }) =>
        ask(() => {
          this.#mustBeThere();
          const found = this.#records.get(`${topic}/${partition}`) ?? new Map<string, number>();
          const isAsked = (offset: number): boolean => offset >= from && offset <= to && (isOwn?.(offset) ?? true);
          return new Set([...found].flatMap(([name, offset]) => (isAsked(offset) ? [name] : [])));
        }),
      send: async (_table, { lines, token, batch }) => {
        const rows = Buffer.concat([...lines])
          .toString()
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line) as Row);
        const slow = this.#slow.findIndex((one) => one.process === process);
        if (slow >= 0) await this.#runOn(rows, token, batch, process, this.#slow.splice(slow, 1)[0]!.ms);
        else await this.#insertSoon(rows, token, batch, process);
        lastInsertAtMs = performance.now();
      },
    };
  }

  #insertSoon(rows: readonly Row[], token: string, batch: string, process: Process): Promise<void> {
    const insert = (isLate: boolean): void => {
      if (isLate && (this.#isLateLost || this.#looseBatches.has(batch))) return;
      this.#insert(rows, token, batch);
    };
    return this.#network.ask(process, 'clickhouse.insert', insert, unanswered, INSERT_MS);
  }

  async #runOn(rows: readonly Row[], token: string, batch: string, process: Process, ms: number): Promise<void> {
    this.#watch.tell(`an insert of ${process.name} runs for ${ms} ms, and its connection breaks`);
    const running: RunningInsert = { batch, token, isGone: false };
    await this.#network.ask(
      process,
      'clickhouse.insert',
      () => {
        this.#running.add(running);
        this.#clock.after(ms, null, () => {
          if (running.isGone) return;
          this.#running.delete(running);
          try {
            this.#insert(rows, token, batch);
          } catch (error) {
            this.#watch.tell(`an insert that nobody waits for is refused: ${String(error)}`);
          }
        });
      },
      unanswered,
    );
    throw unanswered('the connection has broken');
  }

  #insert(rows: readonly Row[], token: string, batch: string): void {
    this.#mustBeThere();
    const refused = rows.findIndex((row) => row.refused !== undefined && row.refused !== '');
    if (refused >= 0) {
      this.#refusedBatches.add(batch);
      this.#looseBatches.add(batch);
      throw new InsertError('data', { code: '27', message: 'a bad row', suspect: refused });
    }
    if (this.#tokens.has(token)) {
      this.#watch.tell(`ClickHouse drops rows that it has under their token: ${namesOf(rows)}`);
      return;
    }
    this.#remember(token);
    for (const { _topic, _partition, _epoch, _offset, _timestamp } of rows) {
      const partition = `${_topic}/${_partition}`;
      const offsets = this.#offsets.get(`${partition}/${_epoch}`) ?? new Set();
      this.#offsets.set(`${partition}/${_epoch}`, offsets.add(_offset));
      const records = this.#records.get(partition) ?? new Map<string, number>();
      const seconds = Math.floor(Date.parse(_timestamp) / 1_000);
      this.#records.set(partition, records.set(`${_offset}@${seconds}`, _offset));
    }
    this.#watch.tell(`rows are in the table: ${namesOf(rows)}`);
    this.#watch.inserted(rows, batch, this.#refusedBatches.has(batch));
  }

  #remember(token: string): void {
    this.#tokens.delete(token);
    if (this.#tokensMax === 0) return;
    this.#tokens.add(token);
    if (this.#tokens.size > this.#tokensMax) for (const oldest of this.#tokens) return void this.#tokens.delete(oldest);
  }

  #mustBeThere(): void {
    if (this.#clock.nowMs >= this.missingUntilMs) return;
    throw new InsertError('structural', { code: '60', message: 'there is no table' });
  }
}

function unanswered(message: string): InsertError {
  return new InsertError('transient', { code: 'ECONNRESET', message, answered: false });
}

function namesOf(rows: readonly Row[]): string {
  return rows.map(({ id }) => id).join(', ');
}
