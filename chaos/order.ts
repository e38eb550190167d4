import type { Observed, Verdict } from './checks.js';
import type { AckPlace, RecordState } from './ledger.js';
import { Violations } from './violations.js';

/** ClickHouse refuses rows of a batch only after some of its rows went in, so that order ends there: docs/guarantees.md. */
const REFUSED = 'rejected refused_by_clickhouse';
/** More than a run has. */
const KEYS_MAX = 2 ** 24;

/** What one reading of a record has become: its earliest row, and its first acknowledgement. */
interface Read {
  readonly isFirst: boolean;
  readonly insertedAtUs: number;
  readonly answer: AckPlace;
  readonly place: string;
}

/**
 * Records of one key were inserted and first acknowledged in their order, in each reading of their partition. A key has an order
 * in each partition.
 */
export function orderByKey({ ledger }: Pick<Observed, 'ledger'>): Verdict {
  const unordered = new Set<number>();
  ledger.forEach((record) => {
    if (record.said === REFUSED) for (const { batchIndex } of record.answers) unordered.add(batchIndex);
  });
  const violations = new Violations();
  /** By key, whatever the reading; and by key and epoch. */
  const [last, lastUnder] = [new Map<number, Read>(), new Map<number, Read>()];
  let [checked, lastPartition] = [0, -1];
  const compare = (before: Read, { answer, insertedAtUs, place }: Read, key: string | null): void => {
    checked++;
    const { answer: answerBefore } = before;
    if (answer.batchIndex === answerBefore.batchIndex && unordered.has(answer.batchIndex)) return;
    if (insertedAtUs < before.insertedAtUs)
      violations.add(() => `${place} of ${key} was inserted before ${before.place}`);
    if (answer.repliedIn === answerBefore.repliedIn && answer.repliedAt < answerBefore.repliedAt)
      violations.add(() => `${place} of ${key} was acknowledged before ${before.place}`);
  };
  ledger.forEach((record, partition) => {
    if (partition !== lastPartition) {
      last.clear();
      lastUnder.clear();
    }
    lastPartition = partition;
    if (record.rows === 0 || record.acks === 0 || record.keyIndex === 0) return;
    const { keyIndex, key, rowEpochs } = record;
    const earliest = firstOf(record);
    const before = last.get(keyIndex);
    if (before !== undefined) compare(before, earliest, key);
    last.set(keyIndex, earliest);
    for (const epoch of rowEpochs) {
      const now = rowEpochs.length === 1 ? earliest : under(record, epoch);
      if (now === undefined) continue;
      const at = epoch * KEYS_MAX + keyIndex;
      const beforeUnder = lastUnder.get(at);
      lastUnder.set(at, now);
      // Both were the first readings: that was compared.
      if (beforeUnder !== undefined && !(beforeUnder.isFirst && now.isFirst)) compare(beforeUnder, now, key);
    }
  });
  return {
    name: 'rows and acknowledgements of a key are in order',
    checked,
    wrong: violations.count,
    violations: violations.texts,
  };
}

function firstOf({ insertedAtUs, repliedIn, repliedAt, batchIndex, place }: RecordState): Read {
  return { isFirst: true, insertedAtUs, answer: { repliedIn, repliedAt, batchIndex }, place };
}

/** Undefined if it is not known which acknowledgement is the first one of this reading. */
function under(record: RecordState, epoch: number): Read | undefined {
  const { answers, place } = record;
  const answer = answers.find((each) => each.epoch === epoch);
  if (answer === undefined || answers.some((each) => each.epoch === 0)) return undefined;
  const insertedAtUs = record.insertedUnder(epoch);
  return { isFirst: insertedAtUs === record.insertedAtUs, insertedAtUs, answer, place };
}
