import { classifyForeignAnswer, InsertError } from '../../src/clickhouse/insertErrors.js';
import { InsertSizes } from '../../src/clickhouse/insertSizes.js';
import type { BatchInsertOptions, InsertJournal } from '../../src/clickhouse/insertOptions.js';
import type { InsertNotes } from '../../src/protocol/attemptNotes.js';
import type { RecordSource } from '../../src/protocol/record.js';

/**
 * What a fake insert does: as the real one, or with a failure before or after the rows are there, or with an answer that
 * is lost while the insert is still running, or has come into one partition only; or the table knows the token and loses
 * the rows, without an answer or with an error; or a proxy finds it too large; or the whole process dies, before, after, or
 * after a view has failed.
 */
export type Fault =
  | 'none'
  | 'tooLargeForProxy'
  | 'lostBefore'
  | 'lostAfter'
  | 'lostInPart'
  | 'lostWhileRunning'
  | 'known'
  | 'renameFails'
  | 'viewFails'
  | 'viewFailsOddly'
  | 'viewIsAway'
  | 'viewFailsAndDies'
  | 'diesBefore'
  | 'diesAfter';

/** The process that inserts has died. It can note nothing any more, see {@link FakeTable.deaths}. */
export class Died extends Error {}

interface Row {
  readonly _topic: string;
  readonly _partition: number;
  readonly _epoch: string;
  readonly _offset: number;
  readonly _row?: number;
  /** Refused with an error that blames the data. */
  readonly bad?: boolean;
  /** Refused with a code that nobody knows. */
  readonly odd?: boolean;
}

/**
 * A table in memory that behaves as ClickHouse does: all rows of an insert or none, if they are of one partition (it has
 * those of Kafka, or two by {@link FakeTable.partitionsByRow}); a token drops what comes again under it into the same partition (as long as its window remembers); a
 * failing view leaves the rows behind.
 */
export class FakeTable {
  readonly rows: Row[] = [];
  /** What its materialized view has. */
  readonly viewRows: Row[] = [];
  /** Rows of each insert that was tried. */
  readonly insertSizes: number[] = [];
  /** Faults of the next inserts; none when it is empty. */
  faults: Fault[] = [];
  hasView = false;
  /** Whether even and odd rows of a record go to different partitions. */
  partitionsByRow = false;
  /** False: the table and its view have no deduplication window. Undefined: that may not be asked. */
  remembersTokens: boolean | undefined = true;
  /** After so many inserts, whatever becomes of the last one, the table and its view get a window. */
  windowAfter = Infinity;
  /** What an error says of the row it stopped at. */
  hints: 'right' | 'wrong' | 'none' = 'right';
  /** More rows than this are refused. */
  companyMax = Infinity;
  /** Its materialized view refuses an insert of more rows. */
  viewTakesMax = Infinity;
  /** What the view says then. */
  viewLimit = { code: '252', message: 'too many partitions of a view' };
  /** Every insert of rows fails with this. */
  ill: InsertError | undefined;
  /** A probe fails with this. */
  probeFails: InsertError | undefined;
  lookUps = 0;
  /** How many processes have died while they inserted. */
  deaths = 0;
  /**
   * Whether the table is altered right before each of the next looks at its columns, and look-ups; not when it is empty.
   * `later`: it gets the column `later`, or loses it. True: another column gets another type.
   */
  alterations: (boolean | 'later')[] = [];
  /** Whether it has the column `later`. */
  hasLater = false;
  #type = 'FixedString(1)';
  #lastInsertAtMs: number | undefined;
  #running: Row[] = [];
  readonly #tokens = new Map<string, string>();
  /** Under which tokens something has come into which partitions. */
  readonly #tokensOfPartitions = new Set<string>();
  readonly #tokensOfView = new Set<string>();
  readonly #sizes = new InsertSizes();

  readonly tables: BatchInsertOptions['tables'] = {
    columns: () => {
      this.#alter();
      const later = this.hasLater ? [['later', 'String'] as const] : [];
      const columns = new Map([...COLUMNS, ['altered', this.#type] as const, ...later]);
      return Promise.resolve(Object.assign(columns, { hasViews: this.hasView }));
    },
    forget: () => undefined,
    probe: () => (this.probeFails === undefined ? Promise.resolve() : Promise.reject(this.probeFails)),
    lastInsertAtMs: () => this.#lastInsertAtMs,
    sizes: this.#sizes,
    hasViews: () => Promise.resolve(this.hasView),
    caughtUp: () => Promise.resolve(false),
    mayLoseKnownRows: () => Promise.resolve(this.remembersTokens !== false),
    knowsTokens: () => Promise.resolve(this.remembersTokens),
    rememberedBy: () => Promise.resolve(this.remembersTokens === false ? null : 'orders'),
    isInserting: () => {
      const isInserting = this.#running.length > 0;
      for (const row of this.#running.splice(0)) this.rows.push(row);
      return Promise.resolve(isInserting);
    },
    foundOffsets: (_table, source, { from, to, isOwn }) => {
      this.lookUps++;
      this.#alter();
      return Promise.resolve(new Set(this.#found(source, from, to).filter((offset) => isOwn?.(offset) ?? true)));
    },
    foundRowNumbers: (_table, { topic, partition, epoch }, { from, to, isOwn }) => {
      this.lookUps++;
      this.#alter();
      const found = new Map<string, number[]>();
      for (const row of this.rows) {
        const { _offset: offset } = row;
        if (row._topic !== topic || row._partition !== partition || row._epoch !== epoch) continue;
        if (offset < from || offset > to || isOwn?.(offset) === false) continue;
        found.set(String(offset), [...(found.get(String(offset)) ?? []), row._row ?? 0]);
      }
      return Promise.resolve(found);
    },
    foundRowNumbersOfRecords: () => Promise.reject(new Error('a rewind is tested on the real engine')),
    foundRecords: () => Promise.reject(new Error('a rewind is tested on the real engine')),
    send: (table, { columns, lines, token, ignoreViews = false }) => {
      const isOfOthers = (columns.get('altered') ?? this.#type) !== this.#type;
      if (isOfOthers || (columns.has('later') && !this.hasLater))
        throw new Error('these rows were made for columns that are no more');
      const text = Buffer.concat([...lines]).toString();
      const rows = text.trimEnd().split('\n');
      try {
        this.#insert(
          rows.map((line) => JSON.parse(line) as Row),
          token,
          { text, ignoreViews },
        );
      } finally {
        if (this.insertSizes.length >= this.windowAfter) this.remembersTokens = true;
      }
      this.#sizes.fitted(table, Buffer.byteLength(text));
      return Promise.resolve();
    },
  };

  /** As if another batch had been inserted just now. */
  takesOthers(): void {
    this.#lastInsertAtMs = performance.now();
  }

  #alter(): void {
    const alteration = this.alterations.shift();
    if (alteration === 'later') this.hasLater = !this.hasLater;
    else if (alteration === true) this.#type = `FixedString(${this.alterations.length + 2})`;
  }

  #insert(rows: Row[], token: string, { text, ignoreViews }: { text: string; ignoreViews: boolean }): void {
    const fault = this.faults.shift() ?? 'none';
    this.insertSizes.push(rows.length);
    if (fault === 'diesBefore') this.#die();
    if (fault === 'tooLargeForProxy') throw classifyForeignAnswer(413);
    if (fault === 'lostBefore') throw lost('lost before');
    if (this.ill !== undefined) throw this.ill;
    this.#refuse(rows);
    if ((this.#tokens.get(token) ?? text) !== text) throw new Error('one token was used for different rows');
    this.#tokens.set(token, text);
    const partitions = fault === 'lostInPart' ? [0] : [...new Set(rows.map((row) => this.#partitionOf(row)))];
    const fresh = partitions.flatMap((partition) => this.#fresh(rows, partition, token));
    if (fault === 'lostWhileRunning') {
      for (const row of fresh) this.#running.push(row);
      this.#handOn(rows, token);
      throw lost('lost while running');
    }
    if (fault === 'known') throw lost('the server has died');
    if (fault === 'renameFails') throw new InsertError('unknown', { code: '1001', message: 'no space left' });
    for (const row of fresh) this.rows.push(row);
    if (fault === 'lostInPart') throw lost('lost in part');
    if (fault === 'viewFailsAndDies') this.#die();
    const isTooLarge = this.hasView && rows.length > this.viewTakesMax;
    const refusal = isTooLarge ? new InsertError('oversized', this.viewLimit) : VIEW_FAULTS[fault];
    if (refusal === undefined) this.#handOn(rows, token);
    else if (!ignoreViews) throw refusal;
    if (fault === 'lostAfter') throw lost('lost after');
    if (fault === 'diesAfter') this.#die();
    this.takesOthers();
  }

  #die(): never {
    this.deaths++;
    throw new Died();
  }

  #partitionOf({ _partition, _row = 0 }: Row): number {
    return this.partitionsByRow ? _row % 2 : _partition;
  }

  /** The rows of a partition, unless it has them under this token. */
  #fresh(rows: Row[], partition: number, token: string): Row[] {
    const own = rows.filter((row) => this.#partitionOf(row) === partition);
    const name = `${token}/${partition}`;
    const isKnown = this.#tokensOfPartitions.has(name) && this.remembersTokens !== false;
    if (own.length > 0 && this.remembersTokens !== false) this.#tokensOfPartitions.add(name);
    return isKnown ? [] : own;
  }

  /** To the view, which has a window of its own. */
  #handOn(rows: Row[], token: string): void {
    if (this.#tokensOfView.has(token) && this.remembersTokens !== false) return;
    if (this.remembersTokens !== false) this.#tokensOfView.add(token);
    for (const row of rows) this.viewRows.push(row);
  }

  #refuse(rows: Row[]): void {
    if (rows.length > this.companyMax) throw new InsertError('data', { code: '469', message: 'too many together' });
    const culprit = rows.findIndex(({ bad, odd }) => bad ?? odd);
    if (culprit < 0) return;
    const suspect = { right: culprit, wrong: (culprit + 1) % rows.length, none: undefined }[this.hints];
    if (rows[culprit]?.bad) throw new InsertError('data', { code: '27', message: 'a bad row', suspect });
    throw new InsertError('unknown', { code: '9999', message: 'an odd row', suspect });
  }

  #found({ topic, partition, epoch }: RecordSource, from: number, to: number): number[] {
    return this.rows
      .filter((row) => row._topic === topic && row._partition === partition && row._epoch === epoch)
      .map(({ _offset }) => _offset)
      .filter((offset) => offset >= from && offset <= to);
  }
}

/** What an attempt has of the ones before it. */
interface Attempt {
  readonly repeated: boolean;
  readonly journal: InsertJournal;
}

/**
 * Attempts as Temporal makes them, each in a process of its own, the same batch again after each error that may pass, until
 * one succeeds. If an error asks for that, somebody undoes an alteration.
 *
 * @param attempt makes one. Its {@link Attempt} goes into the options
 * @param mayPass which errors may pass, besides those of their kind
 * @param withoutNotes as many of the first attempts note nothing, as those of version 0.1.0
 */
export async function attemptsUntilDone<T>(
  table: FakeTable,
  attempt: (own: Attempt) => Promise<T>,
  mayPass: (error: InsertError) => boolean = () => false,
  withoutNotes = 0,
): Promise<T> {
  let notes: InsertNotes | undefined;
  for (let number = 1; ; number++) {
    const { deaths } = table;
    const journal = {
      onlyThisActivity: true,
      get notes() {
        return notes;
      },
      ageMs: () => 0,
      save: (saved: InsertNotes) => {
        if (number > withoutNotes && table.deaths === deaths) notes = JSON.parse(JSON.stringify(saved)) as InsertNotes;
        return Promise.resolve();
      },
    };
    try {
      return await attempt({ repeated: number > 1, journal });
    } catch (error) {
      if (error instanceof Died) continue;
      if (!(error instanceof InsertError)) throw error;
      if (!['transient', 'oversized'].includes(error.kind) && !mayPass(error)) throw error;
      if (error.message.includes('undo the alteration')) table.hasLater = true;
    }
  }
}

const VIEW_FAULTS: Partial<Record<Fault, InsertError>> = {
  viewFails: new InsertError('data', { code: '6', message: 'a view refuses' }),
  viewFailsOddly: new InsertError('unknown', { code: '9999', message: 'a view is odd' }),
  viewIsAway: new InsertError('transient', { code: '241', message: 'a view has no memory' }),
};

function lost(message: string): InsertError {
  return new InsertError('transient', { code: 'ECONNRESET', message, answered: false });
}

const COLUMNS = new Map([
  ...['_topic', '_epoch', 'bad', 'odd'].map((name) => [name, 'String'] as const),
  ['_partition', 'UInt32'],
  ['_offset', 'UInt64'],
  ['_row', 'UInt32'],
]);
