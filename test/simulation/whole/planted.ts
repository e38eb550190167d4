import { TableInserts } from '../../../src/activities/tableInserts.js';
import type { Outcome } from '../../../src/activities/outcome.js';
import { FoundRows } from '../../../src/clickhouse/foundRows.js';
import { SentSets } from '../../../src/clickhouse/sentSets.js';
import { GroupCommits } from '../../../src/consumer/partitions/groupCommits.js';
import { PartitionOpening } from '../../../src/consumer/partitions/opening.js';
import { ReadEpochs } from '../../../src/consumer/partitions/readEpochs.js';
import { PartitionTracker } from '../../../src/consumer/partitions/tracker.js';
import type { OutgoingMessage } from '../../../src/kafka/outgoingMessage.js';
import { Publisher } from '../../../src/kafka/publisher.js';
import { TemporalBatcherClient } from '../../../src/temporal/batcherClient.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { ReplayedRun } from '../../../src/workflows/replayedRun.js';
import { Coverage } from '../../../src/workflows/coverage.js';
import type { Step } from './story.js';
import { SETTING, type Setting } from './world.js';

/** A fault in the product, or in what people set up, and which rule it must be found to break. */
export interface Planted {
  readonly name: string;
  /** @returns mends it */
  readonly plant: () => () => void;
  readonly setting?: Setting;
  readonly breaks: RegExp;
  /** Of the first story that is tried: one that shows it, as long as stories are made as they are. */
  readonly seed: number;
  /** One that shows it, if few stories do. */
  readonly story?: readonly Step[];
}

const nothing = () => () => undefined;
const FOUR = ['good', 'good', 'good', 'good'] as const;
const CUT: readonly Step[] = [
  { type: 'write', partition: 0, kinds: FOUR },
  { type: 'wait', ms: 1_500 },
  { type: 'cut', partition: 0, records: 2, kinds: FOUR },
];

export const PLANTED: readonly Planted[] = [
  {
    name: 'offsets are committed as soon as their records are in a lane',
    plant: () => replaced(PartitionTracker, 'committable', (_original, self) => self.next),
    breaks: /is committed, and nobody has/,
    seed: 3,
  },
  {
    name: 'a new epoch is used before it is committed',
    plant: () =>
      replaced(GroupCommits, 'commitEpochs', (_original, _self, assignment) => {
        assignment.committed(assignment.uncommittedEpochs());
        return Promise.resolve();
      }),
    breaks: /rows, though nobody wanted|has no answer/,
    seed: 1,
    story: [
      { type: 'write', partition: 0, kinds: ['good', 'good'] },
      { type: 'wait', ms: 1_500 },
      { type: 'rewind', to: 0, again: true },
      { type: 'restart', who: { member: 0 } },
      { type: 'wait', ms: 300 },
      { type: 'restart', who: { member: 0 } },
    ],
  },
  {
    name: 'all epochs have the same name',
    plant: nothing,
    setting: { ...SETTING, hasChance: false },
    breaks: /has 1 rows|nobody has/,
    seed: 12,
  },
  {
    name: 'a deduplication token says nothing of the epoch',
    plant: () =>
      replaced(SentSets, 'tokenOf', (original, self, rows, salt) => {
        const source = new Map(
          rows.map(({ source: { topic, partition } }) => [`${topic}/${partition}`, { topic, partition, epoch: '' }]),
        );
        const same = rows.map((row) => ({
          ...row,
          source: source.get(`${row.source.topic}/${row.source.partition}`)!,
          record: row.record,
        }));
        return original.call(self, same, salt);
      }),
    breaks: /has 1 rows|is acknowledged, and has no row/,
    seed: 12,
  },
  {
    name: 'the table remembers no token',
    plant: nothing,
    setting: { ...SETTING, tokensMax: 0 },
    breaks: /has a second row/,
    seed: 1,
  },
  {
    name: 'a repeated attempt does not ask the table, which remembers few tokens',
    plant: () => replaced(FoundRows, 'lookUp', () => Promise.resolve()),
    setting: { ...SETTING, tokensMax: 1 },
    breaks: /has a second row/,
    seed: 5,
  },
  {
    name: 'records are acknowledged before they are inserted',
    plant: () =>
      replaced(TableInserts, 'insert', (original, self, batch, shares, attempt, onHeld) => {
        original.call(self, batch, shares, attempt, onHeld).catch(() => undefined);
        return Promise.resolve<Outcome>({ inserted: batch.records, rejected: [], found: 0 });
      }),
    breaks: /is acknowledged, and has no row/,
    seed: 1,
  },
  {
    name: 'a rejected record is acknowledged, and never comes to the dead-letter topic',
    plant: () =>
      replaced(Publisher, 'publish', (original, self, topic, ...rest) =>
        topic.endsWith('dead-letters') ? Promise.resolve() : original.call(self, topic, ...rest),
      ),
    breaks: /is no dead letter/,
    seed: 5,
  },
  {
    name: 'a batch is acknowledged from its end on',
    plant: () =>
      replaced(Publisher, 'publish', (original, self, topic, messages, amend) =>
        original.call(self, topic, [...messages].reverse(), amend),
      ),
    breaks: /is acknowledged after r\d+, which has the same key and comes later/,
    seed: 1,
    story: [
      { type: 'write', partition: 0, kinds: [...FOUR, ...FOUR] },
      { type: 'wait', ms: 1_500 },
    ],
  },
  {
    name: 'a record that is read again as a new one is acknowledged only once',
    plant: () => {
      const answered = new Set<string>();
      return replaced(Publisher, 'publish', async (original, self, topic, messages, amend) => {
        const fresh = [...messages].filter(({ value }) => !answered.has(placeIn(value)));
        await original.call(self, topic, fresh, amend);
        for (const { value } of fresh) answered.add(placeIn(value));
      });
    },
    breaks: /has 1 answers, and was read 2 times/,
    seed: 1,
    story: [
      { type: 'write', partition: 0, kinds: ['good', 'good'] },
      { type: 'wait', ms: 1_500 },
      { type: 'rewind', to: 0, again: true },
      { type: 'wait', ms: 1_500 },
    ],
  },
  {
    name: 'an heir forgets the last batch that a closed run has left',
    plant: () =>
      replaced(BatcherState, 'leave', (original, self, batches, begun) =>
        original.call(self, batches.length > 1 ? batches.slice(0, -1) : batches, begun),
      ),
    breaks: /has no answer/,
    seed: 1,
  },
  {
    name: 'a batcher accepts a chunk that it has accepted before',
    plant: () =>
      replaced(Coverage, 'accept', (original, self, segments, nowMs) => {
        original.call(self, segments, nowMs);
        return segments.map(() => null);
      }),
    breaks: /has a second row/,
    seed: 1,
  },
  {
    name: 'a run that continues as new forgets the last chunk of its buffer',
    plant: () =>
      replaced(BatcherState, 'carryOver', (original, self, nowMs) => {
        const { input, bodies, forgotten } = original.call(self, nowMs);
        const { carried } = input;
        return {
          input: { ...input, carried: { ...carried!, chunks: carried!.chunks.slice(0, -1) } },
          bodies,
          forgotten,
        };
      }),
    breaks: /has no answer/,
    seed: 1,
  },
  {
    name: 'a partition goes over to another layout before the old one has flushed it',
    plant: () =>
      replaced(TemporalBatcherClient, 'epochStatus', (original, self, source) =>
        original.call(self, source).then((status) => ({ ...status, flushed: true })),
      ),
    breaks: /has the same key and comes later/,
    seed: 1,
    story: [
      { type: 'write', partition: 0, kinds: FOUR },
      { type: 'wait', ms: 1_500 },
      { type: 'control', batcher: 0, action: 'pause' },
      { type: 'control', batcher: 1, action: 'pause' },
      { type: 'write', partition: 0, kinds: FOUR },
      { type: 'wait', ms: 1_500 },
      { type: 'layout', member: 0, layout: 1 },
      { type: 'layout', member: 1, layout: 1 },
      { type: 'write', partition: 0, kinds: FOUR },
      { type: 'wait', ms: 45_000 },
    ],
  },
  {
    name: 'an heir does not know what was accepted before',
    plant: () => replaced(ReplayedRun, 'inheritance', (original, self) => ({ ...original.call(self), coverage: [] })),
    breaks: /has a second row/,
    seed: 1,
  },
  {
    name: 'a process does not see that a log has others in the place of records that it has read',
    plant: () => replaced(ReadEpochs, 'of', () => null),
    breaks: /has no answer/,
    seed: 1,
    story: CUT,
  },
  {
    name: 'a log that was cut is read again from its start',
    plant: () =>
      replaced(PartitionOpening, 'readFrom', (original, self, assignment, starts) =>
        original.call(
          self,
          assignment,
          starts.map((start) => (start.type === 'newEpoch' ? { ...start, offset: 0 } : start)),
        ),
      ),
    breaks: /rows, though nobody wanted/,
    seed: 1,
    story: CUT,
  },
];

/** Of the record that an acknowledgement is of. */
function placeIn(acknowledgement: OutgoingMessage['value']): string {
  const { partition, offset } = JSON.parse(String(acknowledgement)) as { partition: number; offset: number };
  return `${partition}/${offset}`;
}

type Method<Self, Name extends keyof Self> = Extract<Self[Name], (...args: never[]) => unknown>;

/** Puts another method in the place of one. @returns puts it back */
function replaced<Self, Name extends keyof Self & string>(
  { prototype }: { readonly prototype: Self },
  name: Name,
  instead: (
    original: Method<Self, Name>,
    self: Self,
    ...args: Parameters<Method<Self, Name>>
  ) => ReturnType<Method<Self, Name>>,
): () => void {
  const original = prototype[name] as Method<Self, Name>;
  const method = function (this: Self, ...args: Parameters<Method<Self, Name>>) {
    return instead(original, this, ...args);
  };
  Object.assign(prototype as object, { [name]: method });
  return () => void Object.assign(prototype as object, { [name]: original });
}
