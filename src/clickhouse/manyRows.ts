import { setImmediate } from 'node:timers/promises';
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

/** What became of a record. */
export interface WrittenRows {
  /** The first of its lines, which follow each other. {@link NO_ROW} if it has none. */
  readonly row: number;
  /** The numbers of its rows. If it is rejected, those that it would have. */
  readonly numbers: readonly number[];
  readonly rejection?: Rejection;
}

/**
 * The rows of a record may be so large together, so that a few bytes for each do not take the memory of the worker: each
 * row has the identity columns, and all that is mapped from the key and the headers.
 */
const RECORD_BYTES_MAX = 64 * 1024 * 1024;
/** The same for a batch, whose rows are in memory together: after so many bytes only those that do not grow much. */
const BATCH_BYTES = { free: 256 * 1024 * 1024, fixed: 1024, perByte: 16 };

/** How long rows are made before other work may run. */
const YIELD_AFTER_MS = 20;

/** Writes the rows of records that may hold many, for one batch. */
export class ManyRows {
  readonly #format: ManyRowsFormat;
  readonly #buildRow: RowBuilder;
  readonly #judgedBytesMax: number;
  #batchBytes = 0;
  #yieldedAt = performance.now();

  /** @param judgedBytesMax rows of more bytes are not judged. If it is finite, all lines are empty */
  constructor(format: ManyRowsFormat, buildRow: RowBuilder, judgedBytesMax: number) {
    this.#format = format;
    this.#buildRow = buildRow;
    this.#judgedBytesMax = judgedBytesMax;
  }

  /**
   * Writes all rows of a record, or none: if one is rejected, the record is. A record without rows is left out. Other work
   * runs in between.
   */
  async write(into: RowBlocks, source: RecordSource, record: KafkaRecord): Promise<WrittenRows> {
    const first = into.length;
    const numbers: number[] = [];
    const bytesMax = this.#bytesMax(record);
    let bytes = 0;
    let rejection: Rejection | undefined;
    const judge = (row: KafkaRecord, number: number): void => {
      const why = this.#write(into, source, row, rejection === undefined);
      if (why?.code === LEFT_OUT) return;
      numbers.push(number);
      if (rejection !== undefined) return;
      if (why === undefined) bytes += into.bytesOf(into.length - 1);
      if (why !== undefined) rejection = isAlone(source, record) ? why : ofRow(number, why);
      else if (bytes > bytesMax) rejection = rowsTooLarge(number);
    };
    if (isAlone(source, record)) {
      judge(record, 0);
    } else {
      const rows = rowsOfRecord(record, this.#format);
      let next = rows.next();
      for (; next.done !== true && numbers.length <= ROWS_OF_RECORD_MAX; next = rows.next()) {
        judge(next.value, next.value.number);
        if (performance.now() - this.#yieldedAt >= YIELD_AFTER_MS) await this.#letOthersRun();
      }
      const ofAll = numbers.length > ROWS_OF_RECORD_MAX ? tooManyRows(ROWS_OF_RECORD_MAX) : endOf(next);
      // No attempt has inserted such a record.
      if (ofAll !== undefined) numbers.length = 0;
      rejection = ofAll ?? rejection;
    }
    if (rejection === undefined && numbers.length > 0) {
      this.#batchBytes += bytes;
      return { row: first, numbers };
    }
    into.dropFrom(first);
    return { row: NO_ROW, numbers, rejection: rejection ?? leftOut() };
  }

  /** @param isKept whether its line stays. Otherwise the row is only judged */
  #write(into: RowBlocks, source: RecordSource, row: KafkaRecord, isKept: boolean): Rejection | undefined {
    const isJudged = this.#judgedBytesMax === Infinity || recordBytes(row) <= this.#judgedBytesMax;
    const rejection = isJudged ? this.#buildRow(into, source, row) : undefined;
    if (rejection !== undefined) return rejection;
    if (!isKept || this.#judgedBytesMax !== Infinity) into.dropRow();
    if (isKept) into.endRow();
    return undefined;
  }

  #bytesMax(record: KafkaRecord): number {
    const { free, fixed, perByte } = BATCH_BYTES;
    const small = fixed + perByte * recordBytes(record);
    return Math.min(RECORD_BYTES_MAX, Math.max(free - this.#batchBytes, small));
  }

  /** A large record, and a large batch, must not delay heartbeats and other batches. */
  async #letOthersRun(): Promise<void> {
    await setImmediate();
    this.#yieldedAt = performance.now();
  }
}

function endOf({ done, value }: IteratorResult<unknown, Rejection | undefined>): Rejection | undefined {
  return done === true ? value : undefined;
}

/** Whether a record is one row: it has no value, or is a stub, or comes from a workflow, whose rows are one object each. */
function isAlone(source: RecordSource, { value, tooLargeBytes }: KafkaRecord): boolean {
  return value === null || tooLargeBytes !== undefined || isRequestSource(source);
}
