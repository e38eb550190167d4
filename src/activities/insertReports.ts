import type { EvolvedField } from '../clickhouse/evolve/tableEvolution.js';
import type { BatchInsertResult } from '../clickhouse/insertRecords.js';
import { OTHER_FIELDS } from '../clickhouse/rows/ignoredFields.js';
import { shownName } from '../clickhouse/rows/rowRejections.js';
import type { MissedByViews } from '../clickhouse/viewRepair.js';
import type { InsertError } from '../clickhouse/insertErrors.js';
import { latin1 } from '../lib/latin1.js';
import type { Batch } from './batch.js';
import type { ActivityDependencies } from './dependencies.js';

/** Reports the inserts of pipelines into their tables to operators: metrics, and a log line when a state changes. */
export class InsertReports {
  readonly #dependencies: Pick<ActivityDependencies, 'metrics' | 'logger' | 'stateLog'>;

  /** By pipeline, the names that have a series of their own. */
  readonly #ignored = new Map<string, Set<string>>();

  /** By table, the fields that get no column and were logged. */
  readonly #refused = new Map<string, Set<string>>();

  constructor(dependencies: Pick<ActivityDependencies, 'metrics' | 'logger' | 'stateLog'>) {
    this.#dependencies = dependencies;
  }

  /** An insert of some of a batch's rows has ended. */
  ended(pipeline: string, outcome: 'ok' | 'failed', rows: number): void {
    const { inserts, insertRows } = this.#dependencies.metrics;
    inserts.inc({ pipeline, outcome });
    if (outcome === 'ok') insertRows.observe({ pipeline }, rows);
  }

  /**
   * Fields were left out, since they have no column.
   *
   * @param fields counts by name, one character per byte
   */
  ignored(pipeline: string, fields: ReadonlyMap<string, number>): void {
    let known = this.#ignored.get(pipeline);
    if (known === undefined) this.#ignored.set(pipeline, (known = new Set()));
    for (const [name, count] of fields) {
      const shown = shownName(name);
      if (known.size < IGNORED_NAMES_MAX) known.add(shown);
      const field = known.has(shown) ? shown : OTHER_FIELDS;
      this.#dependencies.metrics.ignoredFields.inc({ pipeline, field }, count);
    }
  }

  /**
   * Something is decided about a field without a column. Columns are added and proposed only so many, and each is logged. Of
   * the fields that a table has refused, only the first ones are.
   */
  evolved(pipeline: string, table: string, field: EvolvedField): void {
    const { metrics, logger } = this.#dependencies;
    const { outcome } = field;
    metrics.evolvedFields.inc({ pipeline, outcome });
    const name = shownName(latin1(field.name));
    if (outcome === 'refused') this.#fieldRefused(pipeline, table, name, field.why);
    else if (outcome === 'added') logger.info({ pipeline, table, field: name, type: field.type }, 'A column was added');
    else
      logger.warn(
        { pipeline, table, field: name, statement: field.statement, why: field.why },
        'A field has no column: it can be added',
      );
  }

  #fieldRefused(pipeline: string, table: string, field: string, why: string): void {
    const { logger } = this.#dependencies;
    let told = this.#refused.get(table);
    if (told === undefined) this.#refused.set(table, (told = new Set()));
    if (told.has(field) || told.size > REFUSED_TOLD_MAX) return;
    if (told.size === REFUSED_TOLD_MAX) {
      told.add('');
      logger.warn({ pipeline, table }, 'No more fields without a column are logged, see ktb_evolved_fields_total');
      return;
    }
    told.add(field);
    logger.warn({ pipeline, table, field, why }, 'A field gets no column');
  }

  /** An insert was over a limit and is divided. */
  tooLarge(pipeline: string, table: string, { code, message }: InsertError, rows: number): void {
    const { metrics, stateLog } = this.#dependencies;
    metrics.tooLargeInserts.inc({ pipeline, code });
    stateLog.problem(
      sizesOf(pipeline, table),
      `Pipeline ${pipeline} inserts into ${table} by parts, since ${rows} rows are too much for one insert: ${message}`,
    );
  }

  /**
   * A table has its part of a batch.
   *
   * @param whole whether inserts may be as large as a batch
   */
  done(pipeline: string, table: string, { missedByViews }: BatchInsertResult, whole: boolean): void {
    const { stateLog } = this.#dependencies;
    stateLog.well(insertsOf(pipeline, table), `Pipeline ${pipeline} inserts into ${table} again`);
    if (whole)
      stateLog.well(sizesOf(pipeline, table), `Pipeline ${pipeline} inserts whole batches into ${table} again`);
    this.#views(pipeline, table, missedByViews);
  }

  #views(pipeline: string, table: string, missed: MissedByViews | null): void {
    const { metrics, logger, stateLog } = this.#dependencies;
    const state = `views of ${table} for ${pipeline}`;
    if (missed === null) {
      stateLog.well(state, `Materialized views of ${table} take what pipeline ${pipeline} inserts again`);
      return;
    }
    metrics.missedByViews.inc({ pipeline }, missed.rows);
    logger.warn({ pipeline, table, rows: missed.rows }, 'Rows are in the table that materialized views of it may lack');
    stateLog.problem(
      state,
      `Pipeline ${pipeline} inserts rows into ${table} that materialized views of it lack, or may lack: ${missed.why}`,
    );
  }

  /** A table holds a batch. */
  held(pipeline: string, table: string, { code, message }: InsertError): void {
    const { metrics, stateLog } = this.#dependencies;
    metrics.flushErrors.inc({ pipeline, code });
    metrics.errors.inc({ pipeline, stage: 'insert' });
    stateLog.problem(
      insertsOf(pipeline, table),
      `Pipeline ${pipeline} cannot insert into ${table}, and holds its batches: ${message}`,
    );
  }

  /** A table cannot be asked for records that go to other tables now. So these cannot be inserted: they might be there. */
  unasked(pipeline: string, table: string, { code, message }: InsertError): void {
    const { metrics, stateLog } = this.#dependencies;
    metrics.flushErrors.inc({ pipeline, code });
    metrics.errors.inc({ pipeline, stage: 'insert' });
    stateLog.problem(lookUpsOf(pipeline, table), `Pipeline ${pipeline} holds its batches: ${message}`);
  }

  /** The same, for a batch that is given up: the table counts as having none of them. */
  passedOver(pipeline: string, table: string, { message }: InsertError): void {
    this.#dependencies.stateLog.problem(
      lookUpsOf(pipeline, table),
      `Pipeline ${pipeline} gives up records for other tables as if ${table} had none of them: ${message}`,
    );
  }

  /** A table was asked for records that go to other tables now. */
  asked(pipeline: string, table: string): void {
    const { stateLog } = this.#dependencies;
    stateLog.well(lookUpsOf(pipeline, table), `Pipeline ${pipeline} can ask ${table} for records again`);
  }

  /** It cannot be told which table each record of a batch goes to, or has gone to. */
  undivided(pipeline: string, { code, message }: InsertError): void {
    const { metrics, stateLog } = this.#dependencies;
    metrics.flushErrors.inc({ pipeline, code });
    metrics.errors.inc({ pipeline, stage: 'insert' });
    stateLog.problem(
      divisionOf(pipeline),
      `Pipeline ${pipeline} cannot find the tables of its records, and holds its batches: ${message}`,
    );
  }

  /** Each record of a batch was told its table. */
  divided(pipeline: string): void {
    const { stateLog } = this.#dependencies;
    stateLog.well(divisionOf(pipeline), `Pipeline ${pipeline} finds the tables of its records again`);
  }

  /** A batch is given up. Records that are not in its table get this code. */
  givenUp(
    { pipeline, id: batch }: Pick<Batch, 'pipeline' | 'id'>,
    table: string,
    { inserted, rejected, missedByViews }: BatchInsertResult,
    code: string,
  ): void {
    if (missedByViews !== null) this.#views(pipeline, table, missedByViews);
    const counts = { inserted: inserted.length, rejected: rejected.length };
    this.#dependencies.logger.warn({ pipeline, batch, ...counts, code }, 'A batch is given up');
  }
}

/** Fields of a table that are logged because they get no column. */
const REFUSED_TOLD_MAX = 200;

/** Names of fields that a pipeline has a series for. */
const IGNORED_NAMES_MAX = 100;

/** Name of the state of a pipeline's inserts into a table, for the log. */
function insertsOf(pipeline: string, table: string): string {
  return `inserts of ${pipeline} into ${table}`;
}

/** Name of the state of looking in a table for records that go to other tables, for the log. */
function lookUpsOf(pipeline: string, table: string): string {
  return `look-ups of ${pipeline} in ${table}`;
}

/** Name of the state of finding the tables of a pipeline's records, for the log. */
function divisionOf(pipeline: string): string {
  return `tables of the records of ${pipeline}`;
}

/** Name of the state of the size of a pipeline's inserts into a table, for the log. */
function sizesOf(pipeline: string, table: string): string {
  return `size of inserts of ${pipeline} into ${table}`;
}
