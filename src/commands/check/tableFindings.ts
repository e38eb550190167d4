import { identityFaults, missingColumns, REWIND_COLUMNS, ROW_COLUMN } from '../../clickhouse/identityColumns.js';
import { changeProblems } from '../../clickhouse/changeColumns.js';
import { whyNotAltered } from '../../clickhouse/evolve/tableEvolution.js';
import { namedColumns, type Naming } from '../../clickhouse/namedColumns.js';
import { findsByIdentity, projectionStatements } from '../../clickhouse/lookUpProjection.js';
import { rowColumnProblem } from '../../clickhouse/rowColumnRepair.js';
import { unfitMappings } from '../../clickhouse/rows/columnSources.js';
import type { TableColumns } from '../../clickhouse/tableColumns.js';
import { quoteTable } from '../../clickhouse/sqlNames.js';
import type { TokenWindow } from '../../clickhouse/tokenWindows.js';
import type { PipelineConfig } from '../../config/config.js';
import { hasManyRows, type Evolution } from '../../protocol/settings.js';
import { judges, type Finding } from './finding.js';

export interface CheckedTable {
  /** The name, with its database if that is not the connection's. */
  readonly name: string;
  readonly columns: TableColumns;
  readonly engine: string;
  readonly sortingKey: string;
  /** How many views and tables take what is inserted. */
  readonly dependents: number;
  /** From `system.tables.engine_full`. */
  readonly engineFull?: string;
  /** From `system.tables.create_table_query`. */
  readonly createQuery: string;
  /**
   * The table's own window first, then those of the tables that its materialized views write to, and so on. Empty if
   * the user may not ask.
   */
  readonly windows: readonly TokenWindow[];
  /** Why an insert was refused. Null if it was not. */
  readonly refusal: string | null;
  /** Why a look-up of identities was refused. Null if it was not, or the table has no columns for it. */
  readonly lookUpRefusal: string | null;
  /** How long an insert without rows waited in vain for its answer; null if it was quick enough. */
  readonly slowInsert: string | null;
  /** How long a look-up waited in vain for its answer; null if it was quick enough. */
  readonly slowLookUp: string | null;
  /** Whether the user may add columns. Null if that is not known, or not asked. */
  readonly mayAddColumns: boolean | null;
}

/** Judges a table of a pipeline. */
export function judgeTable({ settings: { destination } }: PipelineConfig, table: CheckedTable): Finding[] {
  const { ok, warning } = judges(`table ${table.name}`);
  const manyRows = hasManyRows(destination.mapping.format);
  const findings = [
    ...judgeInserts(table),
    ...judgeIntegersOfJson(table),
    ...judgeNamed(table, destination),
    ...judgeEvolution(table, destination.mapping.evolve),
    ...judgeIdentityColumns(table),
    ...(manyRows ? judgeRowColumn(table) : []),
    ...(destination.mapping.envelope === undefined ? [] : judgeChanges(table)),
    ...judgeLookUps(table, manyRows),
    ...judgeKeeping(table),
    ...judgeTokens(table),
    ...Array.from(smallWindows(table.windows), ([message, todo]) => warning(message, todo)),
  ];
  return findings.length > 0 ? findings : [ok(`${table.engine}, ${table.columns.size} columns`)];
}

function judgeInserts({ name, refusal, slowInsert }: CheckedTable): Finding[] {
  const { warning, wrong } = judges(`table ${name}`);
  const findings: Finding[] = [];
  if (refusal !== null) findings.push(wrong(`takes no inserts: ${refusal}`, 'do as the message says'));
  if (slowInsert !== null)
    findings.push(warning(`is slow to take inserts: ${slowInsert}`, 'see whether ClickHouse is busy'));
  return findings;
}

/** Whether the user may do what `evolve` needs. */
function judgeEvolution(table: CheckedTable, evolve: Evolution | undefined): Finding[] {
  if (evolve === undefined || table.mayAddColumns !== false) return [];
  if (whyNotAltered({ engine: table.engine, hasViews: table.dependents > 0 }, evolve) !== undefined) return [];
  return [
    judges(`table ${table.name}`).wrong(
      'may not be altered by the user, and evolve is apply: the first batch with a field that has no column would be held',
      `GRANT ALTER ADD COLUMN ON ${quoteTable(table.name)} to the user, or set evolve: propose`,
    ),
  ];
}

/** The columns that the pipeline names. */
function judgeNamed(table: CheckedTable, naming: Naming): Finding[] {
  const { wrong } = judges(`table ${table.name}`);
  const findings: Finding[] = [];
  const missing = missingColumns(table.columns, namedColumns(naming));
  if (missing.length > 0)
    findings.push(
      wrong(
        `has no column ${missing.join(', ')}, which the pipeline names`,
        'add it, or change columns or unknownFields',
      ),
    );
  for (const { column, from, why } of unfitMappings(table.columns, naming.columns)) {
    const refuses = `refuses all that has a value for column ${column}: it is ${table.columns.get(column)}`;
    findings.push(
      why === 'json'
        ? wrong(
            `${refuses}, which takes JSON, and ${from} gives it none`,
            'make it a String, or map it from value or from a JSON pointer',
          )
        : wrong(
            `${refuses}, which takes no timestamp of a record`,
            'make it a DateTime64(3), or a UInt64 for milliseconds since 1970',
          ),
    );
  }
  return findings;
}

function judgeIdentityColumns(table: CheckedTable): Finding[] {
  const { warning, wrong } = judges(`table ${table.name}`);
  const findings: Finding[] = [];
  const lacking = missingColumns(table.columns);
  if (lacking.length > 0)
    findings.push(
      warning(
        `lacks ${lacking.join(', ')}: after a failure rows may be inserted twice`,
        altering(table, 'add them; `ktb setup` prints the statement'),
      ),
    );
  else if (missingColumns(table.columns, REWIND_COLUMNS).length > 0)
    findings.push(
      warning(
        'lacks _timestamp: after a loss of Temporal’s data `ktb rewind` cannot find what is in the table',
        `${altering(table, 'add it; `ktb setup` prints the statement')}. Rows from before will not be found by it`,
      ),
    );
  for (const { kind, problem, statement } of identityFaults(table.columns)) {
    const judge = kind === 'rewind' ? warning : wrong;
    findings.push(judge(problem, altering(table, `ALTER TABLE ${quoteTable(table.name)} ${statement}`)));
  }
  return findings;
}

/** Whether the table keeps all rows of records that may hold many. */
function judgeRowColumn(table: CheckedTable): Finding[] {
  const problem = rowColumnProblem(table.name, table.columns, table);
  if (problem === null) return [];
  return [judges(`table ${table.name}`).wrong(problem.message, altering(table, problem.todo))];
}

/** Whether the table shows the latest change of each row. */
function judgeChanges(table: CheckedTable): Finding[] {
  const { warning, wrong } = judges(`table ${table.name}`);
  return changeProblems(table.name, table.columns, table).map(({ message, todo, isRefused }) =>
    isRefused ? wrong(message, altering(table, todo)) : warning(message, todo),
  );
}

/**
 * Whether a repeated insert can look up which rows are there.
 *
 * @param manyRows whether a record may hold many rows
 */
function judgeLookUps(table: CheckedTable, manyRows: boolean): Finding[] {
  const { warning, wrong } = judges(`table ${table.name}`);
  const findings: Finding[] = [];
  if (table.lookUpRefusal !== null)
    findings.push(
      wrong(
        `may not be looked up: ${table.lookUpRefusal}. The first insert that has to be repeated would be held`,
        `GRANT SELECT(${[...REWIND_COLUMNS, ...(manyRows ? [ROW_COLUMN] : [])].join(', ')}) ON ${quoteTable(table.name)} to the user`,
      ),
    );
  else if (table.slowLookUp !== null)
    findings.push(
      warning(
        `is slow to be looked up: ${table.slowLookUp}. An insert that has to be repeated waits as long`,
        `see whether ClickHouse is busy${isMergeTree(table) ? '; `ktb setup` proposes an order and a projection' : ''}`,
      ),
    );
  // Others cannot be sorted so, see judgeTokens.
  else if (isMergeTree(table) && missingColumns(table.columns).length === 0 && !findsByIdentity(table, manyRows))
    findings.push(
      warning(
        'is not sorted by its identity columns: a repeated insert has to look through much of it for its rows',
        `put them first in ORDER BY, or ${projectionStatements(table.name, table.engine, manyRows).join('; ')}`,
      ),
    );
  return findings;
}

/** What to do, for engines that take an ALTER TABLE. Others do not, or not all of its forms. */
function altering(table: CheckedTable, statement: string): string {
  if (isMergeTree(table)) return statement;
  if (table.engine === 'Distributed') return `first in its local tables, then here: ${statement}`;
  return 'make a table with an engine of the MergeTree family, and name that one';
}

function isMergeTree({ engine }: CheckedTable): boolean {
  return engine.endsWith('MergeTree');
}

/** Engines that take rows and do not keep them, and what becomes of the rows. */
const LOSING: ReadonlyMap<string, string> = new Map([
  ['Null', 'drops every row'],
  ['Memory', 'loses all rows when the server restarts'],
  ['Buffer', 'holds rows in memory, and loses these if the server crashes'],
]);

/** Whether the engine keeps the rows that it takes. */
function judgeKeeping(table: CheckedTable): Finding[] {
  const { warning, wrong } = judges(`table ${table.name}`);
  const { engine, dependents } = table;
  const fate = LOSING.get(engine);
  if (fate === undefined) return [];
  if (engine === 'Null' && dependents > 0)
    return [
      warning(
        'has the engine Null: a repeated insert finds none of its rows, and the views take them twice',
        'let the views read from a table with an engine of the MergeTree family, and insert into that',
      ),
    ];
  return [
    wrong(
      `has the engine ${engine}, which ${fate}: records are acknowledged as inserted and get lost`,
      engine === 'Buffer'
        ? 'name the table that the buffer writes to: inserts are large batches already'
        : 'use an engine of the MergeTree family',
    ),
  ];
}

/** Whether the table knows deduplication tokens. */
function judgeTokens(table: CheckedTable): Finding[] {
  const { warning } = judges(`table ${table.name}`);
  const { engine } = table;
  if (LOSING.has(engine)) return [];
  if (engine === 'Distributed')
    return [
      warning(
        'has the engine Distributed, which knows no deduplication tokens itself: its local tables were not looked at',
        'give each local table a deduplication window, and an order or a projection by _topic, _partition, _epoch, _offset',
      ),
    ];
  if (engine === 'MaterializedView')
    return [
      warning(
        'is a materialized view, which knows no deduplication tokens itself: its target was not looked at',
        'name the target table, or the table that the view reads',
      ),
    ];
  if (!isMergeTree(table))
    return [
      warning(
        `has the engine ${engine}, which knows no deduplication tokens: of two attempts at one insert that overlap both may stay, and a repeated insert may have to look through all of it for its rows`,
        'use an engine of the MergeTree family',
      ),
    ];
  const [own] = table.windows;
  if (own?.blocks !== 0) return [];
  return [
    warning(
      'remembers no deduplication tokens: of two attempts at one insert that overlap both may stay',
      `ALTER TABLE ${quoteTable(table.name)} MODIFY SETTING ${own.setting} = 1000`,
    ),
  ];
}

/** Columns in which an older server may change the digits of large integers, which are rejected therefore. */
function judgeIntegersOfJson({ name, columns }: CheckedTable): Finding[] {
  if (columns.limits?.keepsIntegers ?? true) return [];
  return Array.from(columns)
    .filter(([, type]) => /\bJSON\b|\bObject\(/.test(type))
    .map(([column]) =>
      judges(`table ${name}`).warning(
        `rejects integers beyond 2^53 at paths without a type in column ${column}: this ClickHouse may change their last digits`,
        'give such paths a type, as in JSON(id Int64), or upgrade ClickHouse',
      ),
    );
}

/**
 * Blocks of one insert, at most: one for each partition, by ClickHouse's default of `max_partitions_per_insert_block`.
 */
const BLOCKS_OF_INSERT_MAX = 100;

/** A shorter time is over before a person has repaired a view. */
const TOKENS_KNOWN_MS_MIN = 15 * 60_000;

/**
 * For a table with materialized views: windows that are too small to send a view again what it lacks. Includes the
 * windows of the views' target tables.
 */
function* smallWindows(windows: readonly TokenWindow[]): Generator<[message: string, todo: string]> {
  if (windows.length < 2) return;
  const lost = 'what a failing view lacks cannot be sent again';
  for (const [index, { table, setting, blocks, ms }] of windows.entries()) {
    const isOwn = index === 0;
    // A table without a window has a finding of its own, with or without views.
    if (isOwn && blocks === 0) continue;
    const who = isOwn ? '' : `has a view that writes to ${table}, which `;
    if (table === null)
      yield [
        `has a view of which it cannot be told what it writes to: ${lost}`,
        'let the user see the view and its target',
      ];
    else if (blocks === 0)
      yield [
        `${who}knows no deduplication tokens: ${lost}`,
        setting === null ? 'know that' : `ALTER TABLE ${table} MODIFY SETTING ${setting} = 1000`,
      ];
    else if (blocks < BLOCKS_OF_INSERT_MAX)
      yield [
        `${who}knows the tokens of ${blocks} blocks only, of which one insert may bring ${BLOCKS_OF_INSERT_MAX}: soon ${lost}`,
        `ALTER TABLE ${table} MODIFY SETTING ${setting} = 1000`,
      ];
    else if (ms < TOKENS_KNOWN_MS_MIN)
      yield [
        `${who}knows tokens for ${ms / 1000} s only: then ${lost}`,
        `ALTER TABLE ${table} MODIFY SETTING ${setting}_seconds = 3600`,
      ];
  }
}
