import { identityToken } from '../clickhouse/batchRows.js';
import { divideByValue, rejectWithoutTable } from '../clickhouse/tablesByValue.js';
import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import { REJECTION_CODES, type Rejection } from '../protocol/ack.js';
import type { SourcedRecord } from '../protocol/record.js';
import { isRequestSource } from '../protocol/request.js';
import { NO_TABLE_FOR_REQUESTS, onlyTable, tableOf, tableOfRequests } from '../protocol/tables.js';
import type { Batch } from './batch.js';
import type { ActivityDependencies } from './dependencies.js';

/** The records of a batch for one table, in order. */
export interface Share {
  readonly table: string;
  readonly records: readonly SourcedRecord[];
  /** Names this table in the notes of attempts. */
  readonly note: string;
}

/** The records of a batch by table. */
export interface Shares {
  readonly ofTables: readonly Share[];
  readonly withoutTable: readonly SourcedRecord[];
  /** Rejects records without a table. */
  readonly reject: (records: readonly SourcedRecord[]) => Promise<readonly RejectedRecord[]>;
}

/**
 * Divides a batch among its tables.
 *
 * @throws InsertError if values have to be decoded, and the registry does not tell their schemas
 */
export async function sharesOf(batch: Batch, decoders: ActivityDependencies['decoders']): Promise<Shares> {
  const { tablesOfValues, mapping } = batch.destination;
  if (tablesOfValues === undefined) return byTopic(batch);
  const { records } = batch;
  const { ofTables, withoutTable, decoder } = await divideByValue(records, tablesOfValues, { mapping, decoders });
  return {
    ofTables: Array.from(ofTables, ([table, own]) => new ShareOfValues(table, own)),
    withoutTable,
    reject: (some) => rejectWithoutTable(some, tablesOfValues, { mapping, decoder }),
  };
}

/**
 * The share of a table whose records a value decides. An attempt may be able to read one more value than the attempt before:
 * a registry that had no such schema may have it now. The notes are about exactly these records, so they name them.
 */
class ShareOfValues implements Share {
  readonly table: string;
  readonly records: readonly SourcedRecord[];
  #note: string | undefined;

  constructor(table: string, records: readonly SourcedRecord[]) {
    this.table = table;
    this.records = records;
  }

  get note(): string {
    return (this.#note ??= `${this.table} ${identityToken(this.records)}`);
  }
}

/** The shares of a batch whose values nobody can read: no record has a table. */
export function unreadShares({ records }: Pick<Batch, 'records'>, rejection: Rejection): Shares {
  return { ofTables: [], withoutTable: records, reject: (some) => Promise.resolve(rejectedAs(some, rejection)) };
}

function byTopic({ destination, records }: Pick<Batch, 'destination' | 'records'>): Shares {
  const only = onlyTable(destination);
  const lists = new Map<string | null, SourcedRecord[]>();
  const listOfTopic = new Map<string, SourcedRecord[]>();
  for (const item of only === null ? records : []) {
    const { topic } = item.source;
    let list = listOfTopic.get(topic);
    if (list === undefined) {
      const table = isRequestSource(item.source) ? tableOfRequests(destination) : tableOf(destination, topic);
      lists.set(table, (list = lists.get(table) ?? []));
      listOfTopic.set(topic, list);
    }
    list.push(item);
  }
  const named = only === null ? [...lists] : [[only, records] as const];
  return {
    ofTables: named.flatMap(([table, own]) => (table === null ? [] : [{ table, records: own, note: table }])),
    withoutTable: lists.get(null) ?? [],
    reject: (some) => Promise.resolve(rejectedAs(some, NO_TABLE)),
  };
}

const NO_TABLE: Rejection = { code: REJECTION_CODES.noTable, message: `its pipeline ${NO_TABLE_FOR_REQUESTS}` };

function rejectedAs(records: readonly SourcedRecord[], rejection: Rejection): RejectedRecord[] {
  return records.map((item) => ({ ...item, rejection }));
}
