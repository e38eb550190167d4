/**
 * The demo's bookkeeping: what was sent, what was acknowledged and what became a row, record by record, and whether that
 * agrees. Records of a data set are numbered from 0: the good ones first, then the bad ones.
 */
import type { Dataset } from './datasets.js';
import { count } from './screen.js';

type Size = Pick<Dataset, 'name' | 'records' | 'badRecords'>;

const REJECTIONS_KEPT_MAX = 100;
const EXAMPLES_MAX = 5;

/** How often each number was seen, in one byte each: a single count stays at 255, the totals are exact. */
export class Tally {
  readonly #counts: Uint8Array;
  /** Different numbers that were seen. */
  distinct = 0;
  /** How many were seen again: the second, third, ... of a number. */
  repeated = 0;
  /** How many had no number, or one that does not belong here. */
  foreign = 0;

  /** @param size numbers from 0 to `size - 1` belong here */
  constructor(size: number) {
    this.#counts = new Uint8Array(size);
  }

  add(index: number | undefined): void {
    const times = index === undefined ? undefined : this.#counts[index];
    if (index === undefined || times === undefined) this.foreign += 1;
    else {
      this.#counts[index] = Math.min(times + 1, 255);
      if (times === 0) this.distinct += 1;
      else this.repeated += 1;
    }
  }

  has(index: number): boolean {
    return (this.#counts[index] ?? 0) > 0;
  }
}

/** What was seen of a data set. */
export class Ledger {
  /** Kafka has it. */
  readonly sent: Tally;
  /** Acknowledged as inserted. */
  readonly inserted: Tally;
  /** Acknowledged as rejected. */
  readonly rejected: Tally;
  /** A row in ClickHouse. */
  readonly rows: Tally;
  /** The first rejections with their reasons. */
  readonly rejections: { readonly index: number; readonly code: string; readonly message: string }[] = [];
  /** Different records that were acknowledged, whatever the answer. */
  answered = 0;

  constructor({ records, badRecords }: Size) {
    const tally = (): Tally => new Tally(records + badRecords);
    [this.sent, this.inserted, this.rejected, this.rows] = [tally(), tally(), tally(), tally()];
  }

  /** Enters an acknowledgement. NaN stands for one that names no record. */
  acknowledge(index: number, { status, code, message }: { status: string; code?: string; message?: string }): void {
    const tally = status === 'inserted' ? this.inserted : this.rejected;
    const before = this.inserted.distinct + this.rejected.distinct;
    const known = this.inserted.has(index) || this.rejected.has(index);
    tally.add(index);
    if (this.inserted.distinct + this.rejected.distinct === before) return;
    if (!known) this.answered += 1;
    if (tally === this.rejected && this.rejections.length < REJECTIONS_KEPT_MAX)
      this.rejections.push({ index, code: code ?? status, message: message ?? '' });
  }
}

/** What is counted besides. */
export interface Counts {
  /** Rows beyond one for each topic, partition, epoch and offset. */
  readonly sameIdentity: number;
  /** Records on the dead-letter topic. */
  readonly deadLetters: number;
}

/** Whether the promise was kept. */
export interface Verdict {
  readonly name: string;
  readonly good: {
    readonly produced: number;
    /** Acknowledged as inserted. */
    readonly acknowledged: number;
    readonly rows: number;
    /** Without a row or without an acknowledgement. */
    readonly lost: number;
    /** Rows beyond one for each record. */
    readonly duplicated: number;
  };
  readonly bad: { readonly produced: number; readonly rejected: number; readonly rows: number };
  /** Acknowledgements beyond one for each record. That is no failure: they are delivered at least once. */
  readonly acksRepeated: number;
  /** What went wrong, in sentences; empty when all is well. */
  readonly problems: readonly string[];
}

/** Compares what was sent with the rows and the acknowledgements, record by record. */
export function judge({ name, records, badRecords }: Size, ledger: Ledger, counts: Counts): Verdict {
  const { sent, inserted, rejected, rows } = ledger;
  const all = Array.from({ length: records + badRecords }, (_, index) => index).filter((index) => sent.has(index));
  const good = all.filter((index) => index < records);
  const bad = all.filter((index) => index >= records);
  const withoutRow = good.filter((index) => !rows.has(index));
  const unanswered = good.filter((index) => !inserted.has(index) && !rejected.has(index));
  const goodRejected = good.filter((index) => rejected.has(index));
  const badRejected = bad.filter((index) => rejected.has(index));
  const badWithRow = bad.filter((index) => rows.has(index));
  // An identity that is there twice is an id that is there twice; what is left has another identity.
  const sameId = Math.max(0, rows.repeated - counts.sameIdentity);
  const unasked = inserted.foreign + rejected.foreign;

  const problems: string[] = [];
  const check = (wrong: number, sentence: string): void => {
    if (wrong !== 0) problems.push(`${name}: ${sentence}`);
  };
  check(withoutRow.length, `${count(withoutRow.length, 'record')} without a row in ClickHouse${examples(withoutRow)}`);
  check(unanswered.length, `${count(unanswered.length, 'record')} not acknowledged${examples(unanswered)}`);
  check(
    goodRejected.length,
    `${count(goodRejected.length, 'good record')} rejected${examples(goodRejected)}${reasonOf(ledger, goodRejected)}`,
  );
  check(
    counts.sameIdentity,
    `${count(counts.sameIdentity, 'row')} too many, of the same topic, partition, epoch and offset`,
  );
  check(sameId, `${count(sameId, 'row')} too many, of the same id but another offset or epoch`);
  check(rows.foreign, `${count(rows.foreign, 'row')} that nobody produced`);
  check(bad.length - badRejected.length, `${badRejected.length} of ${count(bad.length, 'bad record')} rejected`);
  check(badWithRow.length, `${count(badWithRow.length, 'bad record')} with a row in ClickHouse`);
  check(
    counts.deadLetters - rejected.distinct,
    `${count(rejected.distinct, 'record')} acknowledged as rejected, ${counts.deadLetters} on the dead-letter topic`,
  );
  check(unasked, `${count(unasked, 'acknowledgement')} of records that nobody produced`);

  return {
    name,
    good: {
      produced: good.length,
      acknowledged: good.filter((index) => inserted.has(index)).length,
      rows: rows.distinct + rows.repeated + rows.foreign - badWithRow.length,
      lost: new Set([...withoutRow, ...unanswered]).size,
      duplicated: Math.max(rows.repeated, counts.sameIdentity),
    },
    bad: { produced: bad.length, rejected: badRejected.length, rows: badWithRow.length },
    acksRepeated: inserted.repeated + rejected.repeated,
    problems,
  };
}

function examples(indexes: readonly number[]): string {
  const shown = indexes.slice(0, EXAMPLES_MAX).join(', ');
  return ` (number ${shown}${indexes.length > EXAMPLES_MAX ? ', ...' : ''})`;
}

function reasonOf({ rejections }: Ledger, indexes: readonly number[]): string {
  const reason = rejections.find(({ index }) => indexes.includes(index));
  return reason === undefined ? '' : `: ${reason.code}, ${reason.message}`;
}
