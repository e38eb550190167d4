import { expect, it, vi, onTestFinished } from 'vitest';
import type { DecodedPointers } from '../../../../src/consumer/lanes/decodedPointers.js';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { BatchIntake } from '../../../../src/consumer/partitions/batchIntake.js';
import { READING } from '../../../../src/consumer/partitions/commitMetadata.js';
import { Fetching } from '../../../../src/consumer/partitions/fetching.js';
import { PointedRecords } from '../../../../src/consumer/partitions/pointedRecords.js';
import { PartitionTracker } from '../../../../src/consumer/partitions/tracker.js';
import { RegistryError } from '../../../../src/formats/schemaRegistry.js';
import { FetchedBatch } from '../../../../src/kafka/kafkajs/fetchedBatch.js';
import { fetchedRecord } from '../../../support/records.js';

/** A partition whose records have to be decoded, and all that is told to Kafka and to people. */
function waiting(answer: () => Promise<readonly (Buffer | null)[]>) {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const assignment = new Assignment({ orders: [0, 1] });
  const partition = assignment.get(source)!;
  const layout = { batchers: 2, keyFunction: '/id' } as const;
  const tracker = new PartitionTracker(source, 5, { layout, state: READING, end: 7 });
  partition.open(tracker, 5);
  const told: string[] = [];
  const names = (topics: readonly { readonly partitions?: readonly number[] }[]) =>
    topics.flatMap(({ partitions = [] }) => partitions).join();
  const fetching = new Fetching(
    {
      seek: ({ offset }: { offset: string }) => told.push(`seek ${offset}`),
      pause: (topics: never[]) => told.push(`pause ${names(topics)}`),
      resume: (topics: never[]) => told.push(`resume ${names(topics)}`),
    },
    { debug: () => undefined },
  );
  const pointed = new PointedRecords({
    pipeline: 'p',
    pointers: { areNeededFor: () => true, of: answer } as unknown as DecodedPointers,
    fetching,
    metrics: { errors: { inc: ({ stage }: { stage: string }) => told.push(`error: ${stage}`) } } as never,
    stateLog: { problem: (_: string, text: string) => told.push(text), well: () => told.push('well') } as never,
  });
  const intake = new BatchIntake({
    fetching,
    pointed,
    commits: { use: () => undefined, commitEpochs: () => Promise.resolve() },
    missing: { readsOn: () => undefined },
    readEpochs: { of: () => null, note: () => undefined },
    handOver: (_: object, records: readonly { offset: number }[], by: readonly (Buffer | null)[]) =>
      told.push(`handed over ${records.map(({ offset }, index) => `${offset}: ${String(by[index])}`).join()}`),
    moved: () => undefined,
  } as unknown as ConstructorParameters<typeof BatchIntake>[0]);
  const take = () => {
    const records = [5, 6, 7].map((offset) => fetchedRecord(offset, 1, null, Buffer.from('x')));
    const fetched = { topic: 'orders', partition: 0, highWatermark: '20', fetchedOffset: '5', rawMessages: [] };
    return intake.take(assignment, {
      batch: new FetchedBatch(fetched, { from: 5, next: 8, records, failure: null }),
      resolveOffset: () => undefined,
      commitOffsetsIfNecessary: () => Promise.resolve(),
    } as never);
  };
  return { assignment, partition, tracker, told, take };
}

const away = () => Promise.reject(new RegistryError('away', 'it is away'));

it('while the registry is away the partition waits, loudly, and is fetched again; then its records go by what they say', async () => {
  let isAway = true;
  const { assignment, partition, tracker, told, take } = waiting(() =>
    isAway ? away() : Promise.resolve([Buffer.from('a'), null, Buffer.from('c')]),
  );
  const problem = 'shardBy needs the schemas of its records: it is away';
  const waits = ['error: decode', `Pipeline p does not read orders/0, and perhaps others: ${problem}`, 'pause 0'];
  await take();
  expect(told).toEqual(waits);
  expect([tracker.next, assignment.problems]).toEqual([5, [`orders/0: ${problem}`]]);
  vi.advanceTimersByTime(2_000);
  expect([told.at(-1), partition.isFetched()]).toEqual(['resume 0', true]);
  isAway = false;
  told.length = 0;
  await take();
  // The plan ends before the third one.
  expect(told).toEqual(['well', 'handed over 5: a,6: null']);
  expect([tracker.next, assignment.problems]).toEqual([7, []]);
});

it('of a batch that takes long to decode, what is decoded is taken, and the rest is fetched again', async () => {
  const { tracker, told, take } = waiting(() => Promise.resolve([Buffer.from('a')]));
  await take();
  expect(told).toEqual(['well', 'handed over 5: a', 'seek 6']);
  expect(tracker.next).toBe(6);
});

it('a partition that was lost, or whose topic was gone, while the registry was asked gets nothing handed over', async () => {
  for (const lose of ['end', 'gone'] as const) {
    const { assignment, partition, told, take } = waiting(async () => {
      await Promise.resolve();
      if (lose === 'end') assignment.end();
      else assignment.topicGone(partition);
      return [];
    });
    await take();
    expect(told.filter((what) => what.startsWith('handed'))).toEqual([]);
  }
});

it('a topic that is gone and comes back meanwhile is fetched again', async () => {
  const { assignment, partition, told, take } = waiting(away);
  await take();
  const successor = assignment.topicGone(partition);
  expect(successor.isFetched()).toBe(false);
  vi.advanceTimersByTime(2_000);
  expect([successor.isFetched(), told.at(-1)]).toEqual([true, 'resume 0']);
});

it('an error that is not the registry’s is not hidden', async () => {
  const { take } = waiting(() => Promise.reject(new TypeError('a bug')));
  await expect(take()).rejects.toThrow('a bug');
});
