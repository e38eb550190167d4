import { isOtherTime, secondsOfRecord, type RowsOfRecord } from '../../clickhouse/lookUps.js';

/** A range of records that lack something, both ends included. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  readonly records: number;
}

/** The outcome for a range of records of one partition. */
export interface LedgerSummary {
  readonly records: number;
  readonly inserted: number;
  readonly rejected: number;
  readonly skipped: number;
  /** Accepted by a batcher but not flushed yet. */
  readonly held: number;
  readonly acknowledged: number;
  /** No row, no dead letter, and no batcher has them. */
  readonly missing: readonly Gap[];
  /**
   * Records of which the table has some rows and lacks others, and that have no dead letter and are in no batcher. Absent
   * if each record is one row.
   */
  readonly incomplete?: readonly Gap[];
  /** Records with more than one row under one epoch. */
  readonly doubled: readonly Gap[];
  /**
   * Records that were accepted under the committed epoch, and have rows of other epochs only. They are not missing: a
   * rewind that fills holes leaves such rows. But if the offsets were reset to ingest the records again, their new rows
   * are.
   */
  readonly otherEpochs: readonly Gap[];
  /** Records that are done but not acknowledged. Empty if the pipeline sends no acknowledgements. */
  readonly unanswered: readonly Gap[];
}

const RECORD = 1;
const ROW = 2;
const DOUBLED = 4;
const DEAD_LETTER = 8;
const SKIPPED = 16;
const HELD = 32;
const ACK = 64;
const ROW_OF_EPOCH = 128;

export interface LedgerOptions {
  readonly from: number;
  /** The offset after the last one. */
  readonly to: number;
  readonly expectsAcks: boolean;
  /** The committed epoch. Null if it is not known. */
  readonly epoch: string | null;
  /** The first offset that was accepted under the committed epoch. Infinity if it is not known. */
  readonly epochFrom: number;
  /** Whether records may hold many rows. Default: each is one. */
  readonly manyRows?: boolean;
}

/**
 * Keeps five bytes for each offset of a range with all that is known of its record, and then lists what is missing.
 * Pure. Offsets outside the range are ignored.
 *
 * The records come first, since what is said later is compared with them. A topic that was recreated has other records at
 * the same offsets. What is left of the earlier ones (rows, dead letters) must not count for those that are there now.
 * As in a rewind, the timestamp tells them apart.
 *
 * If records may hold many rows, it takes eight bytes more for each. Of several epochs, the rows count together: a rewind
 * fills in the rows that a record lacks.
 */
export class Ledger {
  readonly #from: number;
  readonly #marks: Uint8Array;
  /** See `secondsOfRecord`, modulo 2^32. */
  readonly #seconds: Uint32Array;
  /** Of records that may hold many rows, how many the table should have, and has. Empty if each is one. */
  readonly #rowsExpected: Uint32Array;
  readonly #rowsFound: Uint32Array;
  readonly #expectsAcks: boolean;
  readonly #epoch: string | null;
  readonly #epochFrom: number;

  constructor({ from, to, expectsAcks, epoch, epochFrom, manyRows = false }: LedgerOptions) {
    this.#from = from;
    this.#marks = new Uint8Array(Math.max(0, to - from));
    this.#seconds = new Uint32Array(this.#marks.length);
    this.#rowsExpected = new Uint32Array(manyRows ? this.#marks.length : 0);
    this.#rowsFound = new Uint32Array(this.#rowsExpected.length);
    this.#expectsAcks = expectsAcks;
    this.#epoch = epoch;
    this.#epochFrom = epochFrom;
  }

  /** @param rows how many it holds. Default: one */
  record(
    offset: number,
    { skipped, timestampMs, rows = 1 }: { skipped: boolean; timestampMs: number; rows?: number | undefined },
  ): void {
    this.#mark(offset, skipped ? RECORD | SKIPPED : RECORD);
    this.#seconds[offset - this.#from] = secondsOfRecord(timestampMs);
    this.#rowsExpected[offset - this.#from] = rows;
  }

  rows({ offset, epoch, rows, different = 1, seconds }: RowsOfRecord): void {
    const isOfEpoch = epoch === this.#epoch;
    if (!this.#isOfRecord(offset, seconds, isOfEpoch)) return;
    const at = offset - this.#from;
    const found = (this.#rowsFound[at] ?? 0) + different;
    this.#rowsFound[at] = found;
    const row = found >= (this.#rowsExpected[at] ?? 1) ? ROW : 0;
    this.#mark(offset, row | (isOfEpoch ? ROW_OF_EPOCH : 0) | (rows > different ? DOUBLED : 0));
  }

  /** @param timestampMs of the record that it was made of. Null if it is not known: then it counts */
  deadLetter(offset: number, timestampMs: number | null): void {
    if (timestampMs === null || this.#isAt(offset, secondsOfRecord(timestampMs))) this.#mark(offset, DEAD_LETTER);
  }

  ack(offset: number): void {
    this.#mark(offset, ACK);
  }

  /** A batcher has accepted it but not flushed it yet. */
  held({ offset, timestampMs }: { readonly offset: number; readonly timestampMs: number }): void {
    if (this.#isAt(offset, secondsOfRecord(timestampMs))) this.#mark(offset, HELD);
  }

  /**
   * A batcher holds it in a chunk that cannot be unpacked. So no timestamp tells which record it is: a chunk of another
   * epoch than the committed one counts only where nothing was accepted under the committed one.
   */
  heldUnder(epoch: string, offset: number): void {
    if (epoch === this.#epoch || offset < this.#epochFrom) this.#mark(offset, HELD);
  }

  summary(): LedgerSummary {
    const isInPart = (offset: number): boolean => (this.#rowsFound[offset - this.#from] ?? 0) > 0;
    const isNowhere = (marks: number): boolean => !isDone(marks) && (marks & HELD) === 0;
    const isDone = (marks: number): boolean => (marks & (ROW | DEAD_LETTER | SKIPPED)) !== 0;
    return {
      records: this.#count(() => true),
      inserted: this.#count((marks) => (marks & ROW) !== 0),
      rejected: this.#count((marks) => (marks & (ROW | DEAD_LETTER)) === DEAD_LETTER),
      skipped: this.#count((marks) => (marks & (ROW | DEAD_LETTER | SKIPPED)) === SKIPPED),
      held: this.#count((marks) => !isDone(marks) && (marks & HELD) !== 0),
      acknowledged: this.#count((marks) => (marks & ACK) !== 0),
      missing: this.#gaps((marks, offset) => isNowhere(marks) && !isInPart(offset)),
      ...(this.#rowsExpected.length === 0
        ? {}
        : { incomplete: this.#gaps((marks, offset) => isNowhere(marks) && isInPart(offset)) }),
      doubled: this.#gaps((marks) => (marks & DOUBLED) !== 0),
      otherEpochs: this.#gaps((marks, offset) => (marks & (ROW | ROW_OF_EPOCH)) === ROW && offset >= this.#epochFrom),
      unanswered: this.#expectsAcks ? this.#gaps((marks) => isDone(marks) && (marks & (ACK | HELD)) === 0) : [],
    };
  }

  /**
   * Whether a row is of the record that is at its offset now. If the table has timestamps, they tell. Under the committed
   * epoch only two real ones that differ speak against a row: an epoch that goes on in another log would otherwise hide
   * what was not read of that.
   */
  #isOfRecord(offset: number, seconds: number | null, isOfEpoch: boolean): boolean {
    if (isOfEpoch) {
      const ofRow = seconds === null ? null : seconds >>> 0;
      return !isOtherTime(ofRow, this.#seconds[offset - this.#from] ?? 0);
    }
    if (seconds !== null) return this.#isAt(offset, seconds);
    // A table without the timestamps has had no rewind that fills holes. So what was accepted has rows of its own epoch.
    return offset < this.#epochFrom;
  }

  #isAt(offset: number, seconds: number): boolean {
    return this.#seconds[offset - this.#from] === seconds >>> 0;
  }

  #mark(offset: number, marks: number): void {
    const at = offset - this.#from;
    if (at >= 0 && at < this.#marks.length) this.#marks[at] = (this.#marks[at] as number) | marks;
  }

  #count(is: (marks: number) => boolean): number {
    let count = 0;
    for (const marks of this.#marks) if ((marks & RECORD) !== 0 && is(marks)) count++;
    return count;
  }

  /** Neighbouring records of the same kind make one gap, even if offsets without records lie between them. */
  #gaps(is: (marks: number, offset: number) => boolean): Gap[] {
    const gaps: Gap[] = [];
    let open = null as Gap | null;
    for (let at = 0; at < this.#marks.length; at++) {
      const marks = this.#marks[at] as number;
      if ((marks & RECORD) === 0) continue;
      const offset = this.#from + at;
      if (is(marks, offset)) {
        open = { from: open?.from ?? offset, to: offset, records: (open?.records ?? 0) + 1 };
      } else if (open !== null) {
        gaps.push(open);
        open = null;
      }
    }
    return open === null ? gaps : [...gaps, open];
  }
}
