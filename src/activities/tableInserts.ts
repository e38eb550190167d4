import { ApplicationFailure } from '@temporalio/common';
import { giveUpRecords, insertRecords } from '../clickhouse/insertRecords.js';
import type { BatchInsertOptions } from '../clickhouse/insertOptions.js';
import { InsertError } from '../clickhouse/insertErrors.js';
import { REJECTION_CODES, type Rejection } from '../protocol/ack.js';
import { hadOutage, insertNotesOf, noteOutage, noteRefusal, refusedForMs } from '../protocol/attemptNotes.js';
import type { Parking } from '../protocol/flush.js';
import type { SourcedRecord } from '../protocol/record.js';
import type { Attempt } from './attempt.js';
import { byTable, type Batch } from './batch.js';
import type { ActivityDependencies } from './dependencies.js';
import { doneBefore, noteDoneTables } from './doneTables.js';
import { InsertReports } from './insertReports.js';
import { judgeByName, verdictsOf, withoutTable, type Outcome } from './outcome.js';

/** A structural error lasts until a person acts, so this pace is enough. */
const STRUCTURAL_RETRY = '15 seconds';

/** After this time an error that should pass by itself may be a row's fault. */
const OVERDUE_AFTER_MS = 15 * 60 * 1000;
/** And after this many attempts. */
const OVERDUE_ATTEMPTS_MIN = 10;

/** The records of a batch for one table. */
interface Share {
  readonly table: string;
  readonly records: readonly SourcedRecord[];
  readonly batch: Batch;
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
   * Inserts into one table after the other. If one fails, it holds the batch, but not the rows of the other tables:
   * these go in, and a note tells the next attempt.
   *
   * @param onHeld called if a table holds the batch, after it is noted which tables are done
   * @throws ApplicationFailure if the batch is held
   */
  async insert(batch: Batch, attempt: Attempt, onHeld: () => Promise<void>): Promise<Outcome> {
    const outcomes: Outcome[] = [];
    const done: [share: Share, outcome: Outcome][] = [];
    let failure: ApplicationFailure | undefined;
    for (const [table, records] of byTable(batch)) {
      if (table === null) {
        outcomes.push(withoutTable(records));
        continue;
      }
      const share = { table, records, batch };
      try {
        const outcome = doneBefore(table, records, attempt) ?? (await this.#insertOrGiveUp(share, attempt));
        outcomes.push(outcome);
        done.push([share, outcome]);
      } catch (error) {
        if (!(error instanceof InsertError)) throw error;
        this.#reports.held(batch.pipeline, table, error);
        failure ??= failureOf(error);
      }
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

  async #insertOrGiveUp(share: Share, attempt: Attempt): Promise<Outcome> {
    const { table, records, batch } = share;
    const { pipeline, parking } = batch;
    const lastTry = isLastTry(batch, attempt);
    const divided = { now: false };
    const options: BatchInsertOptions = {
      ...this.#optionsOf(share, attempt),
      overdue: lastTry || isOverdue(attempt, OVERDUE_AFTER_MS),
      onTooLarge: (error, rows) => {
        divided.now = true;
        this.#reports.tooLarge(pipeline, table, error, rows);
      },
    };
    if (parking !== undefined) return this.#giveUp(share, options, parkedBecause(parking));
    try {
      const outcome = await insertRecords(records, options);
      const isLimited = Math.min(this.#tables.insertBytesMax(table), this.#tables.insertRowsMax(table)) < Infinity;
      this.#reports.done(pipeline, table, outcome, !divided.now && !isLimited);
      return outcome;
    } catch (error) {
      if (!(error instanceof InsertError)) throw error;
      await noteFailure(error, attempt);
      if (error.kind === 'structural' || !error.answered || !lastTry) throw error;
      return this.#giveUp(share, options, exhaustedBy(error));
    }
  }

  async #giveUp({ table, records, batch }: Share, options: BatchInsertOptions, rejection: Rejection): Promise<Outcome> {
    const outcome = await giveUpRecords(records, options, rejection);
    this.#reports.givenUp(batch, table, outcome, rejection.code);
    return outcome;
  }

  #optionsOf({ table, batch }: Share, attempt: Attempt): Omit<BatchInsertOptions, 'overdue'> {
    const { pipeline, destination, fill } = batch;
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
          return insertNotesOf(attempt.notes, table);
        },
        ageMs: () => attempt.ageMs,
        save: (notes) => attempt.note({ ...attempt.notes, inserts: { ...attempt.notes.inserts, [table]: notes } }),
      },
      ...(destination.views === undefined ? {} : { views: destination.views }),
      mustBeAlive: () => attempt.mustBeAlive(),
      onEvolved: (field) => this.#reports.evolved(pipeline, table, field),
      onIgnored: (fields) => this.#reports.ignored(pipeline, fields),
      onInsert: (outcome, rows) => this.#reports.ended(pipeline, outcome, rows),
    };
  }
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
