import type { AckLedger } from './ackLedger.js';
import { count } from './text.js';
import type { Tally } from './tally.js';

/** What is known of one pipeline after the run. */
export interface Evidence {
  readonly name: string;
  /** Good records, numbered from 0. */
  readonly records: number;
  /** Bad records, numbered behind them. */
  readonly badRecords: number;
  readonly acks: AckLedger;
  /** Rows in the table by the numbers of their records. */
  readonly rows: Tally;
  /** Rows, and different identities (topic, partition, epoch, offset) among them. */
  readonly identities: { readonly rows: number; readonly distinct: number };
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

const EXAMPLES_MAX = 5;

/** Compares what was produced with the rows and the acknowledgements, record by record. */
export function judge({ name, records, badRecords, acks, rows, identities, deadLetters }: Evidence): Verdict {
  const good = acks.sentIndexes(0, records);
  const bad = acks.sentIndexes(records, records + badRecords);
  const withoutRow = good.filter((index) => !rows.has(index));
  const unanswered = good.filter((index) => !acks.inserted.has(index) && !acks.rejected.has(index));
  const rejected = good.filter((index) => acks.rejected.has(index));
  const badRejected = bad.filter((index) => acks.rejected.has(index));
  const badWithRow = bad.filter((index) => rows.has(index));
  const sameIdentity = identities.rows - identities.distinct;
  // An identity that is there twice is an id that is there twice; what is left has another identity.
  const sameId = Math.max(0, rows.repeated - sameIdentity);
  const foreignAcks = acks.inserted.foreign + acks.rejected.foreign;

  const problems: string[] = [];
  const check = (wrong: number, sentence: string): void => {
    if (wrong !== 0) problems.push(`${name}: ${sentence}`);
  };
  check(withoutRow.length, `${count(withoutRow.length, 'record')} without a row in ClickHouse${examples(withoutRow)}`);
  check(unanswered.length, `${count(unanswered.length, 'record')} not acknowledged${examples(unanswered)}`);
  check(
    rejected.length,
    `${count(rejected.length, 'good record')} rejected${examples(rejected)}${reasonOf(acks, rejected)}`,
  );
  check(sameIdentity, `${count(sameIdentity, 'row')} too many, of the same topic, partition, epoch and offset`);
  check(sameId, `${count(sameId, 'row')} too many, of the same id but another offset or epoch`);
  check(rows.foreign, `${count(rows.foreign, 'row')} that nobody produced`);
  check(bad.length - badRejected.length, `${badRejected.length} of ${count(bad.length, 'bad record')} rejected`);
  check(badWithRow.length, `${count(badWithRow.length, 'bad record')} with a row in ClickHouse`);
  check(
    deadLetters - acks.rejected.distinct,
    `${count(acks.rejected.distinct, 'record')} acknowledged as rejected, ${deadLetters} on the dead-letter topic`,
  );
  check(foreignAcks, `${count(foreignAcks, 'acknowledgement')} of records that nobody produced`);

  return {
    name,
    good: {
      produced: good.length,
      acknowledged: good.filter((index) => acks.inserted.has(index)).length,
      rows: identities.rows - badWithRow.length,
      lost: new Set([...withoutRow, ...unanswered]).size,
      duplicated: Math.max(rows.repeated, sameIdentity),
    },
    bad: { produced: bad.length, rejected: badRejected.length, rows: badWithRow.length },
    acksRepeated: acks.inserted.repeated + acks.rejected.repeated,
    problems,
  };
}

function examples(indexes: readonly number[]): string {
  const shown = indexes.slice(0, EXAMPLES_MAX).join(', ');
  return ` (number ${shown}${indexes.length > EXAMPLES_MAX ? ', ...' : ''})`;
}

function reasonOf(acks: AckLedger, rejected: readonly number[]): string {
  const reason = acks.rejections.find(({ index }) => rejected.includes(index));
  return reason === undefined ? '' : `: ${reason.code}, ${reason.message}`;
}
