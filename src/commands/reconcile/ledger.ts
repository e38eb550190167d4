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
  /** Records with more than one row under one epoch. */
  readonly doubled: readonly Gap[];
  /** Records whose rows are all of other epochs than the committed one. They may be of an earlier log's records. */
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

/**
 * Keeps one byte for each offset of a range with all that is known of its record, and then lists what is missing. Pure.
 * Offsets outside the range are ignored.
 */
export class Ledger {
  readonly #from: number;
  readonly #marks: Uint8Array;
  readonly #expectsAcks: boolean;

  /** @param to the offset after the last one */
  constructor({ from, to, expectsAcks }: { from: number; to: number; expectsAcks: boolean }) {
    this.#from = from;
    this.#marks = new Uint8Array(Math.max(0, to - from));
    this.#expectsAcks = expectsAcks;
  }

  record(offset: number, { skipped }: { skipped: boolean }): void {
    this.#mark(offset, skipped ? RECORD | SKIPPED : RECORD);
  }

  /**
   * @param rows under one epoch
   * @param isOfEpoch whether it is the committed epoch
   */
  rows(offset: number, rows: number, isOfEpoch: boolean): void {
    const row = isOfEpoch ? ROW | ROW_OF_EPOCH : ROW;
    this.#mark(offset, rows > 1 ? row | DOUBLED : row);
  }

  deadLetter(offset: number): void {
    this.#mark(offset, DEAD_LETTER);
  }

  ack(offset: number): void {
    this.#mark(offset, ACK);
  }

  /** A batcher has accepted it but not flushed it yet. */
  held(offset: number): void {
    this.#mark(offset, HELD);
  }

  summary(): LedgerSummary {
    const isDone = (marks: number): boolean => (marks & (ROW | DEAD_LETTER | SKIPPED)) !== 0;
    return {
      records: this.#count(() => true),
      inserted: this.#count((marks) => (marks & ROW) !== 0),
      rejected: this.#count((marks) => (marks & (ROW | DEAD_LETTER)) === DEAD_LETTER),
      skipped: this.#count((marks) => (marks & (ROW | DEAD_LETTER | SKIPPED)) === SKIPPED),
      held: this.#count((marks) => !isDone(marks) && (marks & HELD) !== 0),
      acknowledged: this.#count((marks) => (marks & ACK) !== 0),
      missing: this.#gaps((marks) => !isDone(marks) && (marks & HELD) === 0),
      doubled: this.#gaps((marks) => (marks & DOUBLED) !== 0),
      otherEpochs: this.#gaps((marks) => (marks & (ROW | ROW_OF_EPOCH)) === ROW),
      unanswered: this.#expectsAcks ? this.#gaps((marks) => isDone(marks) && (marks & (ACK | HELD)) === 0) : [],
    };
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
  #gaps(is: (marks: number) => boolean): Gap[] {
    const gaps: Gap[] = [];
    let open = null as Gap | null;
    for (let at = 0; at < this.#marks.length; at++) {
      const marks = this.#marks[at] as number;
      if ((marks & RECORD) === 0) continue;
      const offset = this.#from + at;
      if (is(marks)) {
        open = { from: open?.from ?? offset, to: offset, records: (open?.records ?? 0) + 1 };
      } else if (open !== null) {
        gaps.push(open);
        open = null;
      }
    }
    return open === null ? gaps : [...gaps, open];
  }
}
