import type { ClickHouseClient } from '@clickhouse/client';
import { Turns } from '../../lib/turns.js';
import type { Evolution } from '../../protocol/settings.js';
import { inferTypesOfFields } from '../inferColumns.js';
import { InsertError } from '../insertErrors.js';
import { namedTable, type NamedTable } from '../namedTables.js';
import { nullableType } from '../schemaColumns/fieldType.js';
import type { ColumnTypes } from '../schemaColumns/schemaColumns.js';
import type { TableColumns } from '../tableColumns.js';
import { addColumns, addColumnsStatement, tableToAlter } from './addColumns.js';
import { ColumnNames, nameOf } from './newColumnNames.js';
import { NewFields } from './newFields.js';

export const EVOLVED_OUTCOMES: readonly EvolvedField['outcome'][] = ['added', 'proposed', 'refused'];

/** What became of a field without a column. */
export type EvolvedField =
  | { readonly outcome: 'added'; readonly name: string; readonly type: string }
  | { readonly outcome: 'proposed'; readonly name: string; readonly statement: string }
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
/** Fields of all tables that this is known of. */
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
  readonly #fullUntilMs = new Map<string, number>();
  readonly #turns = new Turns();

  constructor(client: ClickHouseClient, database: string) {
    this.#client = client;
    this.#database = database;
  }

  /** Gathers the fields of a batch that it has to decide on. Those whose names no column may have are reported at once. */
  fieldsOf(request: Omit<FieldsToPlace, 'fields' | 'ofSchemas' | 'mustBeAlive'>): NewFields {
    const { table, columns } = request;
    const names = new ColumnNames(columns.keys());
    const isFull = this.#isUntil(this.#fullUntilMs, table);
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
    // Of several batches at once, the first one adds a column, and the others see that it is there.
    return this.#turns.next(() => this.#place(request));
  }

  async #place(request: FieldsToPlace): Promise<readonly string[]> {
    const named = namedTable(request.table, this.#database);
    const found = await tableToAlter(this.#client, named);
    if (found === undefined) return [];
    const { distinct, there } = this.#distinct(request, found.columns);
    if (distinct.size === 0) return there;
    const types = await this.#typesOf(distinct, request);
    // In others, such as Distributed and Buffer, the rows are elsewhere, where the column is needed too.
    const isAlterable = found.engine.endsWith('MergeTree');
    if (request.evolution.mode === 'propose' || !isAlterable) {
      this.#propose(named, types, request);
      return there;
    }
    const room = this.#room(types, found.added, request);
    return [...there, ...(await this.#add(named, new Map([...types].slice(0, room)), request))];
  }

  #propose(named: NamedTable, types: ColumnTypes, request: FieldsToPlace): void {
    for (const [name, type] of types) {
      request.report({ outcome: 'proposed', name, statement: addColumnsStatement(named, new Map([[name, type]])) });
      this.#decide(request, latin1Of(name));
    }
  }

  /** How many of these columns may be added. The others are refused. */
  #room(types: ColumnTypes, added: number, request: FieldsToPlace): number {
    const { columnsMax } = request.evolution;
    const room = Math.max(0, columnsMax - added);
    if (room >= types.size) return types.size;
    this.#fullUntilMs.set(request.table, performance.now() + DECIDED_MS);
    const why = `the table has got ${columnsMax} columns in this way, and may get no more: evolve.maxColumns`;
    for (const name of [...types.keys()].slice(room)) this.#refuse(request, latin1Of(name), why);
    return room;
  }

  /**
   * The values of the fields that may have a column, and the names of those that have one by now. Of two names that differ
   * in case only, one may.
   */
  #distinct(
    request: FieldsToPlace,
    columns: ReadonlyMap<string, boolean>,
  ): { readonly distinct: ReadonlyMap<string, readonly string[]>; readonly there: string[] } {
    const names = new ColumnNames(columns.keys());
    const distinct = new Map<string, readonly string[]>();
    const there: string[] = [];
    for (const [latin1, values] of request.fields.values) {
      const name = nameOf(latin1);
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
        distinct.set(name, values);
      }
    }
    return { distinct, there };
  }

  /** By the schema, or by the values. */
  async #typesOf(
    values: ReadonlyMap<string, readonly string[]>,
    { ofSchemas }: FieldsToPlace,
  ): Promise<Map<string, string>> {
    const known = await ofSchemas();
    const others = new Map([...values].filter(([name]) => !known.has(name)));
    const inferred = others.size === 0 ? NO_TYPES : await inferTypesOfFields(this.#client, others);
    const typeOf = (name: string): string => known.get(name) ?? inferred.get(name) ?? 'String';
    return new Map([...values.keys()].map((name) => [name, typeToAdd(typeOf(name))]));
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
        this.#refuse(request, latin1Of(name), error.message);
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
    request.report({ outcome: 'refused', name: nameOf(latin1), why });
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

function latin1Of(name: string): string {
  return Buffer.from(name).toString('latin1');
}

/** A name may be very long. */
function keyOf({ table, evolution }: Pick<FieldsToPlace, 'table' | 'evolution'>, latin1: string): string {
  return JSON.stringify([table, evolution.mode, latin1.length, latin1.slice(0, 300)]);
}

/**
 * The type of a column that later values have to fit into. A tuple takes only the members that one of the first values
 * had, and rejects a record with another one. So an object, or a list of objects, becomes a text of its JSON.
 */
export function typeToAdd(type: string): string {
  return nullableType(/\bTuple\(/.test(type.replaceAll(/'(?:[^'\\]|\\.)*'/g, '')) ? 'String' : type);
}
