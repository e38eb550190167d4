import type { Observed, Verdict } from './checks.js';
import { areRowsRight } from './due.js';
import type { Ledger, RecordState } from './ledger.js';
import type { Offsets } from './topic.js';
import { Violations } from './violations.js';

/** The end of a partition's log that Kafka has lost by an unclean election. Temporal had all records of it. */
export interface LostTail extends Offsets {
  /** Its records, and what became of them. */
  readonly ledger: Ledger;
}

/** What Kafka itself has lost. */
export interface Lost {
  readonly tails: readonly LostTail[];
  /** Ids of all that the brokers had, also of what was not committed yet. They may have confirmed it. */
  readonly ids: ReadonlySet<number>;
}

/** Whether another record was at this place, which Kafka has lost. */
export function wasLost({ tails }: Lost, partition: number, offset: number): boolean {
  return tails.some((tail) => tail.partition === partition && offset >= tail.from && offset < tail.to);
}

/** How many places of lost records have no other record now. */
export function countPlacesLost({ tails }: Lost, ledger: Ledger): number {
  let count = 0;
  for (const tail of tails)
    tail.ledger.forEach((_, partition, offset) => {
      if (ledger.idAt(partition, offset) === undefined) count++;
    });
  return count;
}

const ELECTIONS = ['unclean election'] as const;

/** Only what was made of a record when the table was made anew matters to one that Kafka has lost. */
const NOTHING_REREAD = { again: [], filled: [], removed: [], tablesMadeAnew: 0 };

/** A record that Kafka has lost after Temporal had it is a row or a dead letter all the same, once, and acknowledged. */
export function lostIsAnswered({ lost: { tails } }: Pick<Observed, 'lost'>): Verdict {
  const violations = new Violations();
  let checked = 0;
  for (const { ledger } of tails)
    ledger.forEach((record) => {
      checked++;
      const wrong = wrongOf(record);
      if (wrong !== undefined) violations.add(() => `${record.name}, which Kafka has lost, ${wrong}`);
    });
  return {
    name: 'what Kafka has lost after it was accepted is answered once',
    checked,
    ...(tails.length === 0 ? { onlyAfter: ELECTIONS } : {}),
    wrong: violations.count,
    violations: violations.texts,
    note: `${tails.length} logs were cut`,
  };
}

function wrongOf(record: RecordState): string | undefined {
  const { rows, letters, acks, letterCode, expects } = record;
  const isRow = letters === 0 && expects === '' && areRowsRight(NOTHING_REREAD, record);
  const isLetter = rows === 0 && letters > 0 && letterCode === expects;
  if (!isRow && !isLetter) return `is ${rows} rows and ${letters} dead letters`;
  if (record.has('rowDiffers') || record.has('letterDiffers')) return 'has other values';
  if (acks === 0) return 'has no acknowledgement';
  return record.has('acksDisagree') ? 'was acknowledged in two ways' : undefined;
}

/** The daemons tell each log that was cut, and from where on it was, and no other one. */
export function cutsTold({ lost: { tails }, told: { cuts } }: Pick<Observed, 'lost' | 'told'>): Verdict {
  const violations = new Violations();
  const isSame = (one: Offsets, other: Offsets): boolean =>
    one.partition === other.partition && one.from === other.from;
  const text = ({ partition, from, to }: Offsets): string => `${partition}/${from} to ${to}`;
  for (const tail of tails)
    if (!cuts.some((cut) => isSame(cut, tail))) violations.add(() => `${text(tail)} was lost, and nobody told it`);
  for (const cut of cuts)
    if (!tails.some((tail) => isSame(cut, tail))) violations.add(() => `${text(cut)} was told as lost, and was not`);
  return {
    name: 'logs that were cut are told, and no others',
    checked: tails.length + cuts.length,
    onlyAfter: ELECTIONS,
    wrong: violations.count,
    violations: violations.texts,
  };
}
