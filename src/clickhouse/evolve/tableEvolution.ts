import type { ClickHouseClient } from '@clickhouse/client';
import { fromLatin1, latin1 } from '../../lib/latin1.js';
import { Turns } from '../../lib/turns.js';
import type { Evolution } from '../../protocol/settings.js';
import { InsertError } from '../insertErrors.js';
import { namedTable, tableKey, type NamedTable } from '../namedTables.js';
import { nullableType } from '../schemaColumns/fieldType.js';
import type { ColumnTypes } from '../schemaColumns/schemaColumns.js';
import { withoutQuoted } from '../sqlNames.js';
import type { TableColumns } from '../tableColumns.js';
import { addColumns, addColumnsStatement, tableToAlter, type TableToAlter } from './addColumns.js';
import { ColumnNames } from './newColumnNames.js';
import { NewFields } from './newFields.js';

export const EVOLVED_OUTCOMES: readonly EvolvedField['outcome'][] = ['added', 'proposed', 'refused'];

/** What became of a field without a column. */
export type EvolvedField =
  | { readonly outcome: 'added'; readonly name: string; readonly type: string }
  | { readonly outcome: 'proposed'; readonly name: string; readonly statement: string; readonly why: string }
  | { readonly outcome: 'refused'; readonly name: string; readonly why: string };

/** Fields of a batch that its table has no columns for. */
export interface FieldsToPlace {
  readonly table: string;
  readonly columns: TableColumns;
  readonly fields: NewFields;
  readonly evolution: Evolution;
  /** The types of columns for fields that have a schema. Asked only if they are needed. */
  readonly ofSchemas: () => Promise<ColumnTypes>;
  /** Called right before the table is altered. */
  readonly mustBeAlive: () => void;
  /** Called for each field that it is decided about. */
  readonly report: (field: EvolvedField) => void;
}

/** For so long a field without a column is not looked at again, nor a table that has as many as it may get. */
const DECIDED_MS = 10 * 60_000;
/** Fields of all tables that this is known of, and fields that columns were proposed for. */
const DECIDED_MAX = 10_000;

/**
 * Adds columns to tables for fields that have none, or proposes them. All workers do the same at the same time: a column
 * that is there stays as it is, so the first one decides on its type, and the others read the table again.
 */
export class TableEvolution {
  readonly #client: ClickHouseClient;
  readonly #database: string;
  /** Until when it is decided that a field of a table gets no column. The one that was decided first comes first. */
  readonly #decided = new Map<string, number>();
  /** Until when a table gets no more columns or proposals. */
  readonly #fullUntilMs = new Map<string, number>();
  /** How many columns were proposed to a table since it was full. */
  readonly #proposals = new Map<string, number>();
  /** Fields of tables that columns were proposed for. Each counts once, however often it is looked at. */
  readonly #proposed = new Set<string>();
  /** Of each table, the batches whose fields are placed one after the other. */
  readonly #turns = new Map<string, Turns>();

  constructor(client: ClickHouseClient, database: string) {
    this.#client = client;
    this.#database = database;
  }

  /** Gathers the fields of a batch that it has to decide on. Those whose names no column may have are reported at once. */
  fieldsOf(request: Omit<FieldsToPlace, 'fields' | 'ofSchemas' | 'mustBeAlive'>): NewFields {
    const { columns } = request;
    const names = new ColumnNames(columns.keys());
    const isFull = this.#isUntil(this.#fullUntilMs, keyOfTable(request));
    return new NewFields((latin1) => {
      if (isFull || this.#isUntil(this.#decided, keyOf(request, latin1))) return true;
      const why = names.whyNot(latin1);
      if (why !== undefined) this.#refuse(request, latin1, why);
      return why !== undefined;
    });
  }

  /**
   * Decides on the fields of a batch that have no column.
   *
   * @returns the names of those that have one now. Whoever has made rows for the columns before must make them again
   * @throws InsertError if the batch has to be held. Then nothing is decided
   */
  place(request: FieldsToPlace): Promise<readonly string[]> {
    // Of several batches at once, the first one adds a column, and the others see that it is there. A table that is
    // altered for long holds no other one.
    const { database, name } = namedTable(request.table, this.#database);
    const key = tableKey(database, name);
    const turns = this.#turns.get(key) ?? new Turns();
    this.#turns.set(key, turns);
    return turns.next(() => this.#place(request));
  }

  async #place(request: FieldsToPlace): Promise<readonly string[]> {
    // Other batches may have taken long.
    request.mustBeAlive();
    const named = namedTable(request.table, this.#database);
    const found = await tableToAlter(this.#client, named);
    if (found === undefined) return [];
    const { distinct, there } = this.#distinct(request, found.columns);
    const whyNot = whyNotAltered(found, request.evolution);
    const had = whyNot === undefined ? found.added : (this.#proposals.get(keyOfTable(request)) ?? 0);
    const room = Math.max(0, request.evolution.columnsMax - had);
    const wanted = whyNot === undefined ? distinct : this.#withoutProposed(distinct, request);
    const fitting = new Map([...wanted].slice(0, room));
    const types = fitting.size === 0 ? NO_TYPES : await typesOf(fitting, request);
    const added = whyNot === undefined ? await this.#add(named, types, request) : [];
    if (whyNot !== undefined) this.#propose(named, types, whyNot, request);
    // Only now: if the batch was held before, its fields have to be looked at again.
    if (wanted.size > room) this.#noteFull([...wanted.keys()].slice(room), whyNot, request);
    return [...there, ...added];
  }

  /** Without the fields that a column was proposed for. They are not looked at for some time again. */
  #withoutProposed(fields: ColumnTypes, request: FieldsToPlace): ColumnTypes {
    const isProposed = (name: string): boolean => this.#proposed.has(keyOf(request, latin1(name)));
    for (const name of fields.keys()) if (isProposed(name)) this.#decide(request, latin1(name));
    return new Map([...fields].filter(([name]) => !isProposed(name)));
  }

  #propose(named: NamedTable, types: ColumnTypes, why: string, request: FieldsToPlace): void {
    for (const [name, type] of types) {
      request.report({
        outcome: 'proposed',
        name,
        statement: addColumnsStatement(named, new Map([[name, type]])),
        why,
      });
      this.#decide(request, latin1(name));
      this.#proposed.add(keyOf(request, latin1(name)));
      const [oldest] = this.#proposed;
      if (this.#proposed.size > DECIDED_MAX && oldest !== undefined) this.#proposed.delete(oldest);
    }
    const key = keyOfTable(request);
    this.#proposals.set(key, (this.#proposals.get(key) ?? 0) + types.size);
  }

  /** Refuses these fields, and all others for some time. */
  #noteFull(names: readonly string[], whyNotAltered: string | undefined, request: FieldsToPlace): void {
    const key = keyOfTable(request);
    this.#fullUntilMs.set(key, performance.now() + DECIDED_MS);
    this.#proposals.delete(key);
    const { columnsMax } = request.evolution;
    const why =
      whyNotAltered === undefined
        ? `the table has got ${columnsMax} columns in this way, and may get no more: evolve.maxColumns`
        : `${columnsMax} columns were proposed for the table, and no more are for some minutes: evolve.maxColumns`;
    for (const name of names) this.#refuse(request, latin1(name), why);
  }

  /**
   * The types for the fields that may have a column, and the names of those that have one by now. Of two names that differ
   * in case only, one may.
   */
  #distinct(
    request: FieldsToPlace,
    columns: ReadonlyMap<string, boolean>,
  ): { readonly distinct: ColumnTypes; readonly there: string[] } {
    const names = new ColumnNames(columns.keys());
    const distinct = new Map<string, string>();
    const there: string[] = [];
    for (const [latin1, type] of request.fields.types) {
      const name = fromLatin1(latin1);
      const why = names.whyNot(latin1);
      if (columns.get(name) === true) {
        there.push(name);
      } else if (this.#isUntil(this.#decided, keyOf(request, latin1))) {
        // For a batch before this one.
        continue;
      } else if (why !== undefined) {
        this.#refuse(request, latin1, why);
      } else {
        names.add(name);
        distinct.set(name, type);
      }
    }
    return { distinct, there };
  }

  async #add(table: NamedTable, types: ColumnTypes, request: FieldsToPlace): Promise<string[]> {
    if (types.size === 0) return [];
    request.mustBeAlive();
    try {
      await addColumns(this.#client, table, types);
    } catch (error) {
      if (!(error instanceof InsertError) || error.kind !== 'data') throw error;
      const [[name] = ['']] = types;
      if (types.size === 1) {
        this.#refuse(request, latin1(name), error.message);
        return [];
      }
      // One of them is the reason. The others get their columns.
      const added: string[] = [];
      for (const one of types) added.push(...(await this.#add(table, new Map([one]), request)));
      return added;
    }
    for (const [name, type] of types) request.report({ outcome: 'added', name, type });
    return [...types.keys()];
  }

  /** @param latin1 the name, one character per byte */
  #refuse(request: Pick<FieldsToPlace, 'table' | 'evolution' | 'report'>, latin1: string, why: string): void {
    request.report({ outcome: 'refused', name: fromLatin1(latin1), why });
    this.#decide(request, latin1);
  }

  #decide(request: Pick<FieldsToPlace, 'table' | 'evolution'>, latin1: string): void {
    const key = keyOf(request, latin1);
    this.#decided.delete(key);
    this.#decided.set(key, performance.now() + DECIDED_MS);
    const [oldest] = this.#decided.keys();
    if (this.#decided.size > DECIDED_MAX && oldest !== undefined) this.#decided.delete(oldest);
  }

  #isUntil(times: ReadonlyMap<string, number>, key: string): boolean {
    return performance.now() < (times.get(key) ?? 0);
  }
}

const NO_TYPES: ColumnTypes = new Map();

/** By the schema, or by the values. */
async function typesOf(ofValues: ColumnTypes, { ofSchemas }: FieldsToPlace): Promise<ColumnTypes> {
  const known = await ofSchemas();
  return new Map(Array.from(ofValues, ([name, type]) => [name, typeToAdd(known.get(name) ?? type)]));
}

/** Why columns are only proposed. Undefined if they are added. */
export function whyNotAltered(
  { engine, hasViews }: Pick<TableToAlter, 'engine' | 'hasViews'>,
  { mode, withViews }: Evolution,
): string | undefined {
  if (mode === 'propose') return 'evolve is propose';
  // In others, such as Distributed and Buffer, the rows are elsewhere, where the column is needed too.
  if (!engine.endsWith('MergeTree')) return `tables of the engine ${engine} are not altered`;
  return hasViews && withViews !== true
    ? 'the table has materialized views, in which names may mean something else with another column: evolve.withViews'
    : undefined;
}

/** Pipelines with other settings decide by themselves. */
function keyOfTable({ table, evolution }: Pick<FieldsToPlace, 'table' | 'evolution'>): string {
  return JSON.stringify([table, evolution.mode, evolution.columnsMax, evolution.withViews === true]);
}

/** A name may be very long. */
function keyOf(request: Pick<FieldsToPlace, 'table' | 'evolution'>, latin1: string): string {
  return JSON.stringify([keyOfTable(request), latin1.length, latin1.slice(0, 300)]);
}

/**
 * The type of a column that later values have to fit into. A tuple takes only the members that one of the first values
 * had, and rejects a record with another one. So an object, or a list of objects, becomes a text of its JSON.
 */
export function typeToAdd(type: string): string {
  return nullableType(/\bTuple\(/.test(withoutQuoted(type)) ? 'String' : type);
}
