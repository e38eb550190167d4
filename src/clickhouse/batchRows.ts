import type { ColumnSource } from '../protocol/columnSource.js';
import { createHash } from 'node:crypto';
import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import { Breaks } from '../lib/breaks.js';
import { recordBytes, sourceName, type RecordSource, type SourcedRecord } from '../protocol/record.js';
import type { RecordDecoder } from '../formats/recordDecoder.js';
import { hasManyRows, type Mapping } from '../protocol/settings.js';
import type { NewFields } from './evolve/newFields.js';
import { ManyRows, NO_ROW, PIECE_BYTES } from './manyRows.js';
import { opener, openingBuilder, writeMany } from './openedRecords.js';
import { RowBlocks } from './rowBlocks.js';
import { IgnoredFields } from './rows/ignoredFields.js';
import { createRowBuilder } from './rows/rowBuilder.js';
import type { TableColumns } from './tableColumns.js';

/** A record of a batch that has a row, or that is looked up. */
export interface BatchRow extends SourcedRecord {
  /** Its index among the rows. {@link NO_ROW} if it cannot become one. `NOT_KEPT` if its lines are made when they are sent. */
  readonly row: number;
  /** Its index among the records. Unlike {@link row} it does not depend on the table's columns. */
  readonly recordIndex: number;
  /**
   * Set if its record may hold many rows: the numbers (`_row`) of all that it has, in order. Their lines follow each other
   * from {@link row} on. Absent: it is one row.
   */
  readonly numbers?: readonly number[];
  /** The numbers of those that were not judged, and may be left out. Absent: none. */
  readonly unsure?: ReadonlySet<number>;
  /** Set if its record may hold many rows: the bytes of all of them. */
  readonly bytes?: number;
}

/** How many rows these records have. */
export function countRows(rows: readonly BatchRow[]): number {
  let count = 0;
  for (const { numbers } of rows) count += numbers === undefined ? 1 : numbers.length;
  return count;
}

/** The bytes of all rows of a record. */
export function bytesOfRows({ row, bytes }: BatchRow, lines: RowBlocks): number {
  return bytes ?? lines.bytesOf(row);
}

/** The part of a batch that fills holes of a rewind. */
export interface Fill {
  readonly sources: ReadonlySet<RecordSource>;
  /**
   * Distinguishes this batch from others with the same records. Otherwise, if rows were deleted from the table, their
   * old token would make ClickHouse drop them as already inserted.
   */
  readonly salt: string;
}

/** The rows of a batch. */
export interface BatchRows {
  readonly rows: readonly BatchRow[];
  /** The rows' bytes, by {@link BatchRow.row}. A record that holds many rows has many lines. */
  readonly lines: RowBlocks;
  /** Makes the lines of records again whose lines were not kept. */
  readonly makeAgain: (rows: readonly BatchRow[]) => Promise<LinesMadeAgain>;
  /** Records that cannot become rows. An earlier attempt may have inserted them all the same. */
  readonly rejected: readonly (RejectedRecord & BatchRow)[];
  /** Fields without a column that were left out, by name. */
  readonly ignored: IgnoredFields;
}

/** Lines that were made again for one insert. */
export interface LinesMadeAgain {
  readonly lines: RowBlocks;
  /** The first line of a record. */
  readonly firstOf: (row: BatchRow) => number;
}

/**
 * Makes the rows of records.
 *
 * @param options.judgedBytesMax for batches that are not sent: records of more bytes are not judged, and no bytes of
 *   lines are kept. Of a record with many rows, each row counts by itself. Default: all are judged
 * @param options.pieceBytes of records that may hold many rows, the lines of the first piece are kept
 * @param options.decoder makes a decoder, for records whose values or keys are no JSON yet
 * @param options.newFields notes fields without a column. Default: nobody asks for them
 */
export async function buildRows(
  records: readonly SourcedRecord[],
  tableColumns: TableColumns,
  {
    columns,
    mapping,
    judgedBytesMax,
    pieceBytes = PIECE_BYTES,
    decoder,
    newFields,
  }: {
    readonly columns: Readonly<Record<string, ColumnSource>>;
    readonly mapping: Mapping;
    readonly judgedBytesMax?: number;
    readonly pieceBytes?: number | undefined;
    readonly decoder?: (() => RecordDecoder) | undefined;
    readonly newFields?: NewFields | undefined;
  },
): Promise<BatchRows> {
  const ignored = new IgnoredFields();
  const buildDecoded = createRowBuilder(tableColumns, columns, mapping, ignored, newFields);
  const open = opener(mapping, decoder);
  const buildRow = openingBuilder(buildDecoded, open, mapping.where !== undefined);
  const many = hasManyRows(mapping.format)
    ? new ManyRows(mapping.format, buildDecoded, {
        judgedBytesMax,
        keptBytesMax: judgedBytesMax === undefined ? pieceBytes : 0,
        mayLeaveOut: mapping.where !== undefined,
      })
    : undefined;
  const rows: BatchRow[] = [];
  const lines = new RowBlocks();
  const rejected: (RejectedRecord & BatchRow)[] = [];
  const isSent = judgedBytesMax === undefined;
  const breaks = new Breaks();
  for (let recordIndex = 0; recordIndex < records.length; recordIndex++) {
    const { source, record } = records[recordIndex] as SourcedRecord;
    if (many !== undefined) {
      const { rejection, ...found } = await writeMany(many, lines, { source, record }, open);
      if (rejection === undefined) rows.push({ source, record, recordIndex, ...found });
      else rejected.push({ source, record, rejection, recordIndex, ...found });
      continue;
    }
    const isJudged = isSent || recordBytes(record) <= judgedBytesMax;
    const rejection = isJudged ? buildRow(lines, source, record) : undefined;
    if (rejection === undefined) {
      if (!isSent) lines.dropRow();
      rows.push({ source, record, row: lines.length, recordIndex });
      lines.endRow();
    } else {
      rejected.push({ source, record, rejection, row: NO_ROW, recordIndex });
    }
    if (breaks.isDue()) await breaks.take();
  }
  const makeAgain = async (some: readonly BatchRow[]): Promise<LinesMadeAgain> => {
    // What is left out of them was counted.
    const { format } = mapping;
    if (!hasManyRows(format)) throw new Error('all rows of one each are kept');
    const again = new ManyRows(format, createRowBuilder(tableColumns, columns, mapping), { keptBytesMax: Infinity });
    const openAgain = opener(mapping, decoder);
    const made = new RowBlocks();
    const firsts = new Map<BatchRow, number>();
    for (const row of some) {
      const { rejection, row: first, numbers } = await writeMany(again, made, row, openAgain);
      if (rejection !== undefined || numbers.length !== row.numbers?.length)
        throw new Error('a record becomes other rows than before');
      firsts.set(row, first);
    }
    return { lines: made, firstOf: (row) => firsts.get(row) ?? NO_ROW };
  };
  return { rows, lines, makeAgain, rejected, ignored };
}

/** The deduplication token: 128 bits of a hash of the identities of exactly these rows. */
export function identityToken(rows: readonly SourcedRecord[], salt = ''): string {
  const hash = createHash('sha256').update(salt);
  let source: RecordSource | undefined;
  let text = '';
  for (const row of rows) {
    if (row.source !== source) {
      source = row.source;
      text += `\n${sourceName(source)}:`;
    }
    text += `${row.record.offset},`;
    // A call for each row takes more time than the hash.
    if (text.length >= HASHED_AT_ONCE) {
      hash.update(text);
      text = '';
    }
  }
  return hash.update(text).digest('hex').slice(0, 32);
}

/** Characters of identities. */
const HASHED_AT_ONCE = 8_192;
