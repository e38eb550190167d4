/*
 * Where a value says the table, another table than the one that a record goes to now may have it: the record came when the
 * pipeline had other tables, or when its value could be read.
 */
import { mustNotBeInserting } from '../clickhouse/foundRows.js';
import { InsertError } from '../clickhouse/insertErrors.js';
import type { BatchInsertOptions } from '../clickhouse/insertOptions.js';
import { identitiesOf, inTable } from '../clickhouse/recordsInTable.js';
import type { SourcedRecord } from '../protocol/record.js';
import { isDecoded } from '../protocol/settings.js';
import { fixedTables } from '../protocol/tables.js';
import type { Batch } from './batch.js';
import type { Share, Shares } from './shares.js';

/** Says that it is not known what a table has of a batch. */
export class UnaskedTable extends InsertError {
  /** The table that cannot be asked. */
  readonly table: string;

  constructor(table: string, cause: InsertError) {
    const { kind, code, answered } = cause;
    const message = `table ${table} cannot be asked for records of the batch: ${cause.message}`;
    super(kind, { code, message, cause, answered });
    this.table = table;
  }
}

/** What other tables have of a batch. */
export interface Elsewhere {
  readonly found: ReadonlySet<SourcedRecord>;
  /** The tables that have answered. */
  readonly answered: readonly string[];
  /** Why it is not known of some records whether another table has them, each reason once. */
  readonly failures: readonly InsertError[];
  /** Tables that could not be asked, and count as having nothing, because the batch is given up. */
  readonly passedOver: readonly UnaskedTable[];
  /** Why it is not known of one of these records. Undefined if it is known of each. */
  readonly whyUnknown: (records: readonly SourcedRecord[]) => InsertError | undefined;
}

type Asking = Pick<BatchInsertOptions, 'tables' | 'mustBeAlive'>;

/**
 * Asks all tables of a batch for its records that are not for them: each table once, since there may be hundreds.
 *
 * @param open the shares of those tables that are not done
 */
export async function findElsewhere(
  batch: Batch,
  open: readonly Share[],
  withoutTable: Shares['withoutTable'],
  asking: Asking,
): Promise<Elsewhere> {
  const { tables } = asking;
  const ownTables = new Map<SourcedRecord, string | null>();
  for (const { table, records } of open) for (const item of maybeElsewhere(batch, records)) ownTables.set(item, table);
  for (const item of mayHaveHadTable(batch) ? withoutTable : []) ownTables.set(item, null);
  if (ownTables.size === 0) return judged(batch, ownTables, NOTHING_ASKED);
  try {
    await mustNotBeInserting({ tables, batch: batch.id });
  } catch (error) {
    if (!(error instanceof InsertError)) throw error;
    const whyUnknown: Elsewhere['whyUnknown'] = (records) =>
      records.some((item) => ownTables.has(item)) ? error : undefined;
    return { ...NOTHING_ASKED, failures: [error], passedOver: [], whyUnknown };
  }
  return judged(batch, ownTables, await askTables(batch, ownTables, asking));
}

/** The table that each record goes to now. Null if there is none for it. */
type OwnTables = ReadonlyMap<SourcedRecord, string | null>;

interface Answers extends Pick<Elsewhere, 'found' | 'answered'> {
  /** By table that could not be asked, why. */
  readonly unasked: ReadonlyMap<string, UnaskedTable>;
}

const NOTHING_ASKED: Answers = { found: new Set(), answered: [], unasked: new Map() };

async function askTables(batch: Batch, ownTables: OwnTables, asking: Asking): Promise<Answers> {
  const { destination, id, fill, parking } = batch;
  const records = [...ownTables.keys()];
  const rows = await identitiesOf(records, destination.mapping);
  const found = new Set<SourcedRecord>();
  const answered: string[] = [];
  const unasked = new Map<string, UnaskedTable>();
  let away: UnaskedTable | undefined;
  for (const table of fixedTables(destination) ?? []) {
    const asked = rows.filter(({ recordIndex }) => {
      const item = records[recordIndex] as SourcedRecord;
      return ownTables.get(item) !== table && !found.has(item);
    });
    if (asked.length === 0) continue;
    asking.mustBeAlive();
    if (away !== undefined) {
      unasked.set(table, away);
      continue;
    }
    try {
      const options = { ...asking, table, batch: id, mapping: destination.mapping, fill };
      // Nothing is sent of a batch that is given up, so no replica has to be waited for: it may be away for good.
      const indexes = await inTable(asked, { ...options, whenCaughtUp: parking === undefined });
      for (const index of indexes) found.add(records[index] as SourcedRecord);
      answered.push(table);
    } catch (error) {
      if (!(error instanceof InsertError)) throw error;
      const failure = new UnaskedTable(table, error);
      unasked.set(table, failure);
      // The next ones would hardly answer either, and each would be waited for.
      if (!error.answered) away = failure;
    }
  }
  return { found, answered, unasked };
}

/** Decides what follows from tables that could not be asked: what they may have must not be inserted. */
function judged(batch: Batch, ownTables: OwnTables, { found, answered, unasked }: Answers): Elsewhere {
  const unknown = new Map<SourcedRecord, UnaskedTable>();
  const passedOver = new Set<UnaskedTable>();
  for (const [item, own] of unasked.size === 0 ? [] : ownTables) {
    if (found.has(item)) continue;
    for (const [other, failure] of unasked) {
      if (other === own) continue;
      if (mayPassOver(batch, own, failure)) passedOver.add(failure);
      else if (!unknown.has(item)) unknown.set(item, failure);
    }
  }
  const whyUnknown: Elsewhere['whyUnknown'] = (records) => {
    const first = records.find((item) => unknown.has(item));
    return first === undefined ? undefined : unknown.get(first);
  };
  return { found, answered, failures: [...new Set(unknown.values())], passedOver: [...passedOver], whyUnknown };
}

/**
 * Whether a table that a person has to mend may count as having nothing of a record. Giving up must end, and one tenant's
 * table must not hold the others. The settings of a batch travel with it, so a table has hardly ever what goes to
 * another one now. But what has no table now may have been read before.
 */
function mayPassOver(batch: Batch, own: string | null, { kind }: UnaskedTable): boolean {
  return batch.parking !== undefined && kind === 'structural' && (own !== null || !isReadBySchemas(batch));
}

/**
 * The records that other tables may have. Attempts of one activity have the same settings, and a record names the same table
 * in each. A rewind, and a run that was reset, may bring what was inserted when the pipeline had other tables.
 */
function maybeElsewhere(
  { destination, onlyThisActivity, fill }: Batch,
  records: readonly SourcedRecord[],
): readonly SourcedRecord[] {
  if (destination.tablesOfValues === undefined) return [];
  if (!onlyThisActivity) return records;
  return fill === undefined ? [] : records.filter(({ source }) => fill.sources.has(source));
}

/**
 * Whether records that have no table may be in one. An attempt that had other tables may have inserted them, or one of
 * this activity that knew a schema more. What needs no schema is read alike by each attempt.
 */
function mayHaveHadTable(batch: Batch): boolean {
  const { destination, onlyThisActivity, repeated, fill, parking } = batch;
  if (destination.tablesOfValues === undefined) return false;
  // A batch that is given up was tried by another activity.
  if (!onlyThisActivity || fill !== undefined || parking !== undefined) return true;
  return repeated && isReadBySchemas(batch);
}

function isReadBySchemas({ destination: { mapping } }: Batch): boolean {
  return isDecoded(mapping.format) || (mapping.key !== undefined && isDecoded(mapping.key.format));
}
