import { Breaks } from '../lib/breaks.js';
import { LEFT_OUT, type Rejection } from '../protocol/ack.js';
import { recordBytes, type KafkaRecord, type RecordSource } from '../protocol/record.js';
import { isRequestSource } from '../protocol/request.js';
import type { ManyRowsFormat } from '../protocol/settings.js';
import { ROWS_OF_RECORD_MAX } from './identityColumns.js';
import type { RowBlocks } from './rowBlocks.js';
import type { RowBuilder } from './rows/rowBuilder.js';
import { leftOut, ofRow, rowsTooLarge, tooManyRows } from './rows/rowRejections.js';
import { rowsOfRecord } from './rows/rowsOfRecord.js';

/** Stands for the row of a record that has none. */
export const NO_ROW = -1;

/** Stands for the first row of a record whose lines are not kept: they are made again when they are sent. */
export const NOT_KEPT = -2;

/** What became of a record. */
export interface WrittenRows {
  /** The first of its lines, which follow each other. {@link NO_ROW} if it has none, or {@link NOT_KEPT}. */
  readonly row: number;
  /** The numbers of its rows. If it is rejected, those that it would have. */
  readonly numbers: readonly number[];
  /** The numbers of those that are not judged, and may be left out. Absent: none. */
  readonly unsure?: ReadonlySet<number>;
  /** The bytes of all its lines, without those that are not judged. */
  readonly bytes: number;
  readonly rejection?: Rejection;
}

/**
 * The rows of a record may be so large together, so that a few bytes for each do not take the memory of the worker: each
 * row has the identity columns, and all that is mapped from the key and the headers.
 */
const RECORD_BYTES_MAX = 64 * 1024 * 1024;

/**
 * The rows of records that hold many are inserted in pieces of so many bytes. So no more of a batch are in memory
 * together, however small its records are: `{"v":1}` has 16 times as many bytes as a row. A record is not divided, so a
 * piece of one record may be larger.
 */
export const PIECE_BYTES = 32 * 1024 * 1024;

/** Writes the rows of records that may hold many, for one batch. */
export class ManyRows {
  readonly #format: ManyRowsFormat;
  readonly #buildRow: RowBuilder;
  readonly #judgedBytesMax: number;
  readonly #keptBytesMax: number;
  readonly #mayLeaveOut: boolean;
  #keptBytes = 0;
  /** Whether lines are kept. They are those of the first records, so that these are the first piece. */
  #keeps = true;
  readonly #breaks = new Breaks();

  /**
   * @param options.judgedBytesMax rows of more bytes are not judged. Default: all are
   * @param options.mayLeaveOut whether rules of the pipeline may leave rows out
   * @param options.keptBytesMax once the lines of records would have more bytes together, no more are kept
   */
  constructor(
    format: ManyRowsFormat,
    buildRow: RowBuilder,
    {
      judgedBytesMax = Infinity,
      keptBytesMax,
      mayLeaveOut = false,
    }: {
      readonly judgedBytesMax?: number | undefined;
      readonly keptBytesMax: number;
      readonly mayLeaveOut?: boolean;
    },
  ) {
    this.#format = format;
    this.#buildRow = buildRow;
    this.#judgedBytesMax = judgedBytesMax;
    this.#keptBytesMax = keptBytesMax;
    this.#mayLeaveOut = mayLeaveOut;
  }

  /**
   * Writes all rows of a record, or none: if one is rejected, the record is. A record without rows is left out. Other work
   * runs in between.
   *
   * @param because why the record is rejected, if that is known already
   */
  async write(into: RowBlocks, source: RecordSource, record: KafkaRecord, because?: Rejection): Promise<WrittenRows> {
    const first = into.length;
    const numbers: number[] = [];
    const unsure = new Set<number>();
    let bytes = 0;
    let isKept = this.#keeps;
    let rejection = because;
    const judge = (row: KafkaRecord, number: number): void => {
      const isJudged = this.#judgedBytesMax === Infinity || recordBytes(row) <= this.#judgedBytesMax;
      const why = isJudged ? this.#buildRow(into, source, row) : undefined;
      if (why?.code === LEFT_OUT) return;
      numbers.push(number);
      if (!isJudged && this.#mayLeaveOut) unsure.add(number);
      if (rejection === undefined && why === undefined) {
        bytes += into.rowBytes + 1;
        if (bytes > RECORD_BYTES_MAX) rejection = rowsTooLarge(number);
      } else rejection ??= isAlone(source, record) ? why : ofRow(number, why as Rejection);
      const mayBeKept = isKept && rejection === undefined && this.#keptBytes + bytes <= this.#keptBytesMax;
      if (mayBeKept) {
        into.endRow();
        return;
      }
      if (why === undefined) into.dropRow();
      if (isKept) into.dropFrom(first);
      isKept = false;
    };
    if (isAlone(source, record)) {
      judge(record, 0);
    } else {
      const rows = rowsOfRecord(record, this.#format);
      let next = rows.next();
      for (; next.done !== true && numbers.length <= ROWS_OF_RECORD_MAX; next = rows.next()) {
        judge(next.value, next.value.number);
        if (this.#breaks.isDue()) await this.#breaks.take();
      }
      const ofAll = numbers.length > ROWS_OF_RECORD_MAX ? tooManyRows(ROWS_OF_RECORD_MAX) : endOf(next);
      // No attempt has inserted such a record.
      if (ofAll !== undefined) numbers.length = 0;
      rejection = because ?? ofAll ?? rejection;
      // What the rules leave out is left out, whatever else is wrong with it.
      if (numbers.length === 0 && ofAll === undefined) rejection = undefined;
    }
    if (rejection === undefined && numbers.length > 0) {
      this.#keeps = isKept;
      if (isKept) this.#keptBytes += bytes;
      return { row: isKept ? first : NOT_KEPT, numbers, bytes, ...(unsure.size === 0 ? {} : { unsure }) };
    }
    into.dropFrom(first);
    return { row: NO_ROW, numbers, bytes: 0, rejection: rejection ?? leftOut() };
  }
}

function endOf({ done, value }: IteratorResult<unknown, Rejection | undefined>): Rejection | undefined {
  return done === true ? value : undefined;
}

/** Whether a record is one row: it has no value, or is a stub, or comes from a workflow, whose rows are one object each. */
function isAlone(source: RecordSource, { value, tooLargeBytes }: KafkaRecord): boolean {
  return value === null || tooLargeBytes !== undefined || isRequestSource(source);
}
