import { ApplicationFailure } from '@temporalio/common';
import { giveUpRecords, insertRecords } from '../clickhouse/insertRecords.js';
import type { BatchInsertOptions } from '../clickhouse/insertOptions.js';
import { InsertError } from '../clickhouse/insertErrors.js';
import { REJECTION_CODES, type Rejection } from '../protocol/ack.js';
import { hadOutage, insertNotesOf, noteOutage, noteRefusal, refusedForMs } from '../protocol/attemptNotes.js';
import type { Parking } from '../protocol/flush.js';
import type { SourcedRecord } from '../protocol/record.js';
import type { Attempt } from './attempt.js';
import type { Batch } from './batch.js';
import type { ActivityDependencies } from './dependencies.js';
import { doneBefore, noteDoneTables } from './doneTables.js';
import { InsertReports } from './insertReports.js';
import { findElsewhere, UnaskedTable, type Elsewhere } from './otherTables.js';
import { judgeByName, NOTHING, verdictsOf, type Outcome } from './outcome.js';
import { sharesOf, unreadShares, type Share, type Shares } from './shares.js';

/** A structural error lasts until a person acts, so this pace is enough. */
const STRUCTURAL_RETRY = '15 seconds';

/** After this time an error that should pass by itself may be a row's fault. */
const OVERDUE_AFTER_MS = 15 * 60 * 1000;
/** And after this many attempts. */
const OVERDUE_ATTEMPTS_MIN = 10;

/** Records of a batch that are to be in one table. */
interface ToInsert {
  readonly batch: Batch;
  /** The table, and its name in the notes of attempts. */
  readonly into: Pick<Share, 'table' | 'note'>;
  readonly records: readonly SourcedRecord[];
}

/**
 * Makes the inserts of a batch, one for each of its tables. Decides whether a failed one holds the batch or gives it
 * up.
 */
export class TableInserts {
  readonly #tables: BatchInsertOptions['tables'];
  readonly #decoders: ActivityDependencies['decoders'];
  readonly #evolution: ActivityDependencies['evolution'];
  readonly #reports: InsertReports;

  constructor(
    dependencies: Pick<ActivityDependencies, 'tables' | 'decoders' | 'evolution' | 'metrics' | 'logger' | 'stateLog'>,
  ) {
    this.#tables = dependencies.tables;
    this.#decoders = dependencies.decoders;
    this.#evolution = dependencies.evolution;
    this.#reports = new InsertReports(dependencies);
  }

  /**
   * Divides a batch among its tables.
   *
   * @throws ApplicationFailure if the batch is held, because its values cannot be read now
   */
  async divide(batch: Batch, attempt: Attempt): Promise<Shares> {
    const { parking } = batch;
    try {
      return await sharesOf(batch, this.#decoders);
    } catch (error) {
      if (!(error instanceof InsertError)) throw error;
      // Giving up must always succeed.
      if (parking !== undefined) return unreadShares(batch, parkedBecause(parking));
      await noteFailure(error, attempt);
      this.#reports.undivided(batch.pipeline, error);
      throw failureOf(error);
    }
  }

  /**
   * Inserts into one table after the other. If one fails, it holds the batch, but not the rows of the other tables:
   * these go in, and a note tells the next attempt.
   *
   * @param onHeld called if a table holds the batch, after it is noted which tables are done
   * @throws ApplicationFailure if the batch is held
   */
  async insert(batch: Batch, shares: Shares, attempt: Attempt, onHeld: () => Promise<void>): Promise<Outcome> {
    const { pipeline } = batch;
    const known = new Map(shares.ofTables.map((share) => [share, doneBefore(share, attempt)]));
    const elsewhere = await this.#findElsewhere(batch, shares, known, attempt);
    const outcomes: Outcome[] = [];
    const done: [share: Share, outcome: Outcome][] = [];
    let failure: ApplicationFailure | undefined;
    for (const share of shares.ofTables) {
      try {
        const outcome = known.get(share) ?? (await this.#insertShare(batch, share, elsewhere, attempt));
        outcomes.push(outcome);
        done.push([share, outcome]);
      } catch (error) {
        if (!(error instanceof InsertError)) throw error;
        if (!elsewhere.failures.includes(error)) this.#reports.held(pipeline, share.table, error);
        failure ??= failureOf(error);
      }
    }
    if (shares.withoutTable.length > 0) {
      const error = elsewhere.whyUnknown(shares.withoutTable);
      if (error === undefined) outcomes.push(await reject(shares, elsewhere));
      else failure ??= failureOf(error);
    }
    if (failure !== undefined) {
      // If this is not noted, the next attempt asks these tables and judges their records again.
      if (await noteDoneTables(done, attempt)) await onHeld();
      throw failure;
    }
    const [first] = outcomes;
    if (first !== undefined && outcomes.length === 1) return first;
    const found = outcomes.reduce((sum, outcome) => sum + outcome.found, 0);
    const rows = outcomes.reduce((sum, outcome) => sum + (outcome.rows ?? outcome.inserted.length), 0);
    return { ...judgeByName(batch.records, verdictsOf(outcomes.flatMap(({ rejected }) => rejected))), found, rows };
  }

  /** Looks in the other tables for the records of the shares that are not known to be done, and for those without a table. */
  async #findElsewhere(
    batch: Batch,
    { ofTables, withoutTable }: Shares,
    known: ReadonlyMap<Share, Outcome | undefined>,
    attempt: Attempt,
  ): Promise<Elsewhere> {
    const { pipeline, destination } = batch;
    const open = ofTables.filter((share) => known.get(share) === undefined);
    const elsewhere = await findElsewhere(batch, open, withoutTable, {
      tables: this.#tables,
      mustBeAlive: () => attempt.mustBeAlive(),
    });
    for (const table of elsewhere.answered) this.#reports.asked(pipeline, table);
    for (const failure of elsewhere.passedOver) this.#reports.passedOver(pipeline, failure.table, failure);
    let isDivided = destination.tablesOfValues !== undefined;
    for (const failure of elsewhere.failures) {
      await noteFailure(failure, attempt);
      if (failure instanceof UnaskedTable) {
        this.#reports.unasked(pipeline, failure.table, failure);
      } else {
        isDivided = false;
        this.#reports.undivided(pipeline, failure);
      }
    }
    if (isDivided) this.#reports.divided(pipeline);
    return elsewhere;
  }

  /** Inserts the records of a share that no other table has. */
  async #insertShare(batch: Batch, share: Share, elsewhere: Elsewhere, attempt: Attempt): Promise<Outcome> {
    const { records } = share;
    const failure = elsewhere.whyUnknown(records);
    if (failure !== undefined) throw failure;
    const there = records.filter((item) => elsewhere.found.has(item));
    if (there.length === 0) return this.#insertOrGiveUp({ batch, into: share, records }, attempt);
    const left = records.filter((item) => !elsewhere.found.has(item));
    const outcome =
      left.length === 0 ? NOTHING : await this.#insertOrGiveUp({ batch, into: share, records: left }, attempt);
    const { inserted, rejected, found, rows = inserted.length } = outcome;
    return {
      inserted: [...inserted, ...there],
      rejected,
      found: found + there.length,
      rows: rows + there.length,
    };
  }

  async #insertOrGiveUp(toInsert: ToInsert, attempt: Attempt): Promise<Outcome> {
    const { batch, records } = toInsert;
    const { table } = toInsert.into;
    const { pipeline, parking } = batch;
    const lastTry = isLastTry(batch, attempt);
    const divided = { now: false };
    const options: BatchInsertOptions = {
      ...this.#optionsOf(toInsert, attempt),
      overdue: lastTry || isOverdue(attempt, OVERDUE_AFTER_MS),
      onTooLarge: (error, rows) => {
        divided.now = true;
        this.#reports.tooLarge(pipeline, table, error, rows);
      },
    };
    if (parking !== undefined) return this.#giveUp(toInsert, options, parkedBecause(parking));
    try {
      const outcome = await insertRecords(records, options);
      const { sizes } = this.#tables;
      const isLimited = Math.min(sizes.bytesMax(table), sizes.rowsMax(table)) < Infinity;
      this.#reports.done(pipeline, table, outcome, !divided.now && !isLimited);
      return outcome;
    } catch (error) {
      if (!(error instanceof InsertError)) throw error;
      await noteFailure(error, attempt);
      if (error.kind === 'structural' || !error.answered || !lastTry) throw error;
      return this.#giveUp(toInsert, options, exhaustedBy(error));
    }
  }

  async #giveUp(
    { into, records, batch }: ToInsert,
    options: BatchInsertOptions,
    rejection: Rejection,
  ): Promise<Outcome> {
    const outcome = await giveUpRecords(records, options, rejection);
    this.#reports.givenUp(batch, into.table, outcome, rejection.code);
    return outcome;
  }

  #optionsOf({ batch, into }: Pick<ToInsert, 'batch' | 'into'>, attempt: Attempt): Omit<BatchInsertOptions, 'overdue'> {
    const { pipeline, destination, fill } = batch;
    const { table } = into;
    return {
      tables: this.#tables,
      table,
      columns: destination.columns,
      mapping: destination.mapping,
      decoders: this.#decoders,
      evolution: this.#evolution,
      batch: batch.id,
      repeated: batch.repeated,
      ...(fill === undefined ? {} : { fill }),
      journal: {
        onlyThisActivity: batch.onlyThisActivity,
        get notes() {
          return insertNotesOf(attempt.notes, into.note);
        },
        ageMs: () => attempt.ageMs,
        save: (notes) => attempt.note({ ...attempt.notes, inserts: { ...attempt.notes.inserts, [into.note]: notes } }),
      },
      ...(destination.views === undefined ? {} : { views: destination.views }),
      mustBeAlive: () => attempt.mustBeAlive(),
      onEvolved: (field) => this.#reports.evolved(pipeline, table, field),
      onIgnored: (fields) => this.#reports.ignored(pipeline, fields),
      onInsert: (outcome, rows) => this.#reports.ended(pipeline, outcome, rows),
    };
  }
}

/** Rejects the records that have no table, but not those that were inserted when they had one. */
async function reject({ withoutTable, reject: rejectSome }: Shares, { found }: Elsewhere): Promise<Outcome> {
  const inserted = withoutTable.filter((item) => found.has(item));
  const rejected = await rejectSome(withoutTable.filter((item) => !found.has(item)));
  return { inserted, rejected, found: inserted.length };
}

/**
 * What Temporal gets to see of an error that holds a batch. The types are names in histories. `TransientInsertError` is
 * every error that is not structural, an unknown one too: the batch is repeated after the usual time.
 */
function failureOf({ kind, message }: InsertError): ApplicationFailure {
  return kind === 'structural'
    ? ApplicationFailure.create({ message, type: 'StructuralInsertError', nextRetryDelay: STRUCTURAL_RETRY })
    : ApplicationFailure.create({ message, type: 'TransientInsertError' });
}

/** Notes a failed insert for the next attempt, on whatever worker. Without the note the time would start again. */
async function noteFailure({ kind, answered, mayBeOfMachine }: InsertError, attempt: Attempt): Promise<void> {
  const note = kind === 'structural' || !answered || mayBeOfMachine ? noteOutage : noteRefusal;
  await attempt.note(note(attempt.notes, Date.now())).catch(() => undefined);
}

/** Whether `insert.retryFor` has passed. */
function isLastTry({ destination: { retryForMs = Infinity } }: Batch, attempt: Attempt): boolean {
  return isOverdue(attempt, retryForMs);
}

/**
 * Whether ClickHouse has answered an insert with errors for this long, without an outage lately. See {@link noteOutage}.
 */
function isOverdue({ notes, number }: Attempt, afterMs: number): boolean {
  const nowMs = Date.now();
  return number >= OVERDUE_ATTEMPTS_MIN && refusedForMs(notes, nowMs) >= afterMs && !hadOutage(notes, nowMs);
}

function parkedBecause({ reason }: Parking): Rejection {
  return {
    code: REJECTION_CODES.parked,
    message: `an operator gave its batch up${reason === '' ? '' : `: ${reason}`}`,
  };
}

function exhaustedBy({ message }: InsertError): Rejection {
  return { code: REJECTION_CODES.retriesExhausted, message: `not inserted within insert.retryFor: ${message}` };
}
