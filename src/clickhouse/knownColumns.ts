import type { ClickHouseClient } from '@clickhouse/client';
import { groupBy } from '../lib/groupBy.js';
import { UNKNOWN_TABLE } from './errorCodes.js';
import { inParts } from './inParts.js';
import { unescaped } from '../lib/unescaped.js';
import { mergesRowsOfRecord } from './identityColumns.js';
import { InsertError } from './insertErrors.js';
import { askedNames, namedTable, partsToAsk, tableKey } from './namedTables.js';
import { queryRows, unlessMissing } from './queries.js';
import type { TableColumns } from './tableColumns.js';
import { READ_MAX_AGE_MS, type ServerLimits } from './serverLimits.js';
import type { ValueLimits } from './values/valueCheck.js';

/** What a look has shown is believed for this time. A look is one query, about as cheap as any. */
export const COLUMNS_MAX_AGE_MS = 250;

interface Known {
  readonly columns: TableColumns;
  /** What ClickHouse said of them, to compare. */
  readonly rows: string;
  readonly readAtMs: number;
  /** When the last look began that found them unchanged. */
  lookedAtMs: number;
}

/** The columns of tables, and whether they have views. Read again after 30 s, or if {@link latest} finds other columns. */
export class KnownColumns {
  readonly #client: ClickHouseClient;
  readonly #database: string;
  readonly #limits: ServerLimits;
  readonly #known = new Map<string, Known>();

  constructor(client: ClickHouseClient, database: string, limits: ServerLimits) {
    this.#client = client;
    this.#database = database;
    this.#limits = limits;
  }

  /**
   * The columns of those of these tables that exist. Two questions for 200 that are not known.
   *
   * @throws InsertError
   */
  async of(tables: readonly string[]): Promise<Map<string, TableColumns>> {
    const oldestMs = performance.now() - READ_MAX_AGE_MS;
    const found = new Map<string, TableColumns>();
    const unknown: string[] = [];
    for (const table of new Set(tables)) {
      const known = this.#known.get(table);
      if (known !== undefined && known.readAtMs > oldestMs) found.set(table, known.columns);
      else unknown.push(table);
    }
    for (const asked of partsToAsk(unknown)) {
      for await (const part of inParts(asked, (some) => this.#read(some))) {
        for (const [table, known] of part) {
          this.#known.set(table, known);
          found.set(table, known.columns);
        }
      }
    }
    return found;
  }

  /**
   * The columns of a table, as they were {@link COLUMNS_MAX_AGE_MS} ago or later. Undefined if there is no such table.
   *
   * Values are checked against the columns' types, because ClickHouse changes many values that do not fit, without an
   * error. So an insert must not go by types that the table has no more.
   *
   * @throws InsertError
   */
  async latest(table: string): Promise<TableColumns | undefined> {
    const known = this.#known.get(table);
    const nowMs = performance.now();
    if (known !== undefined && nowMs - known.lookedAtMs > COLUMNS_MAX_AGE_MS) {
      const { database, name } = namedTable(table, this.#database);
      const rows = await this.#rows({ databases: [database], names: [name] });
      if (comparable(rows.get(tableKey(database, name))) === known.rows) known.lookedAtMs = nowMs;
      else this.forget(table);
    }
    return (await this.of([table])).get(table);
  }

  /** The table may have been altered. */
  forget(table: string): void {
    this.#known.delete(table);
  }

  async #read(tables: readonly string[]): Promise<Map<string, Known>> {
    const readAtMs = performance.now();
    const asked = tables.map((table) => namedTable(table, this.#database));
    const facts = await this.#facts(askedNames(asked));
    const rows = await this.#rows(askedNames(asked));
    if (rows.size === 0) return new Map();
    const limits = await this.#limits.read();
    const found = new Map<string, Known>();
    for (const { table, database, name } of asked) {
      const key = tableKey(database, name);
      const ofTable = rows.get(key);
      if (ofTable === undefined) continue;
      // A table that was created in between may have views.
      const columns = tableColumns(ofTable, limits, facts.get(key) ?? {});
      found.set(table, { columns, rows: comparable(ofTable), readAtMs, lookedAtMs: readAtMs });
    }
    return found;
  }

  /** What is known of the tables that exist, by their keys. */
  async #facts(asked: Record<string, unknown>): Promise<ReadonlyMap<string, FactsOfTable>> {
    const rows = await queryRows<[string, string, number, string, string]>(
      this.#client,
      `SELECT database, name, notEmpty(dependencies_table), engine, sorting_key FROM system.tables
       WHERE database IN {databases:Array(String)} AND name IN {names:Array(String)}`,
      asked,
    );
    return new Map(
      rows.map(([database, name, hasViews, engine, sortingKey]) => [
        tableKey(database, name),
        {
          hasViews: hasViews !== 0,
          mergesRowsOfRecord: mergesRowsOfRecord({ engine, sortingKey }),
          sortedBy: namesIn(sortingKey),
        },
      ]),
    );
  }

  /**
   * By a table's key, its columns in their order. No field and no configuration can have a name that is not UTF-8, so
   * such columns get their defaults.
   */
  async #rows(asked: Record<string, unknown>): Promise<ReadonlyMap<string, ColumnRow[]>> {
    const rows = await queryRows<ColumnRow>(
      this.#client,
      `SELECT database, table, name, type, default_kind FROM system.columns
       WHERE database IN {databases:Array(String)} AND table IN {names:Array(String)} AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')
         AND isValidUTF8(name)
       ORDER BY database, table, position`,
      asked,
    );
    return groupBy(rows, ([database, table]) => tableKey(database, table));
  }
}

type ColumnRow = [database: string, table: string, name: string, type: string, defaultKind: string];

function comparable(rows: readonly ColumnRow[] = []): string {
  return JSON.stringify(rows);
}

type FactsOfTable = Pick<TableColumns, 'hasViews' | 'mergesRowsOfRecord' | 'sortedBy'>;

function tableColumns(
  rows: readonly ColumnRow[],
  limits: ValueLimits,
  { hasViews = true, mergesRowsOfRecord: mergesRows = false, sortedBy }: FactsOfTable,
): TableColumns {
  return Object.assign(new Map(rows.map(([, , column, type]) => [column, type])), {
    limits,
    hasViews,
    mergesRowsOfRecord: mergesRows,
    ...(sortedBy && { sortedBy }),
    defaults: new Set(rows.filter(([, , , , kind]) => kind === 'DEFAULT').map(([, , column]) => column)),
  });
}

/** All names in an expression: columns, and functions. */
function namesIn(expression: string): ReadonlySet<string> {
  const names = expression.matchAll(/`((?:[^`\\]|\\.)*)`|[A-Za-z_]\w*/g);
  return new Set([...names].map(([name, quoted]) => (quoted === undefined ? name : unescaped(quoted))));
}

/** Says that a table does not exist. */
export function missingTable(table: string, ownDatabase: string): InsertError {
  const { database, name } = namedTable(table, ownDatabase);
  const message = `there is no table ${database}.${name}: create it, or let \`ktb setup\` propose one`;
  return new InsertError('structural', { code: UNKNOWN_TABLE, message });
}

/**
 * The columns of a table. Null if there is no such table.
 *
 * @throws InsertError
 */
export function columnsIfAny(
  tables: { readonly columns: (table: string) => Promise<TableColumns> },
  table: string,
): Promise<TableColumns | null> {
  return unlessMissing(tables.columns(table), null);
}
