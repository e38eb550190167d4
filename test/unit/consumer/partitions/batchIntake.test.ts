import { describe, expect, it, vi } from 'vitest';
import type { AssignedPartition, PauseReason } from '../../../../src/consumer/partitions/assignedPartition.js';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { READING } from '../../../../src/consumer/partitions/commitMetadata.js';
import { BatchIntake } from '../../../../src/consumer/partitions/batchIntake.js';
import type { Remembered } from '../../../../src/consumer/partitions/partitionStarts.js';
import { ReadEpochs } from '../../../../src/consumer/partitions/readEpochs.js';
import { PartitionTracker } from '../../../../src/consumer/partitions/tracker.js';
import { FetchedBatch } from '../../../../src/kafka/kafkajs/fetchedBatch.js';
import { UnreadableBatchError } from '../../../../src/kafka/kafkajs/recordSet.js';
import type { TopicAnswer } from '../../../../src/kafka/kafkajs/fetchedBatch.js';
import { eventually } from '../../../support/eventually.js';
import { fetchedRecord } from '../../../support/records.js';
import { useShortWaits } from '../../../support/shortWaits.js';

useShortWaits(10);

const NOTHING_POINTED = { areNeededFor: () => false };

it('a damaged batch is asked for again, also if its partition was opened while an epoch was being committed', async () => {
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const assignment = new Assignment({ orders: [0] });
  const partition = assignment.get(source)!;
  partition.leave(source);
  const told: string[] = [];
  // What the intake does not get to here is left out.
  const intake = new BatchIntake({
    readEpochs: new ReadEpochs(),
    commits: {
      use: () => undefined,
      // Meanwhile the change to the old layout ends.
      commitEpochs: () => {
        const plan = { layout: { batchers: 2, keyFunction: 'key' }, state: { type: 'closing' }, end: 9 } as const;
        partition.open(new PartitionTracker(source, 5, plan), 5);
        return Promise.resolve();
      },
    },
    missing: {
      readsOn: () => undefined,
      unreadable: (_assignment: Assignment, _partition: object, problem: string) => void told.push(problem),
      mayPassBatch: () => told.push('passed over'),
    },
    pointed: NOTHING_POINTED,
    handOver: () => told.push('handed over'),
    moved: () => undefined,
  } as unknown as ConstructorParameters<typeof BatchIntake>[0]);
  const failure = new UnreadableBatchError('orders/0 is damaged at 5', { isAsWritten: false });
  const fetched = { topic: 'orders', partition: 0, highWatermark: '20', fetchedOffset: '5', rawMessages: [] };
  const batch = new FetchedBatch(fetched, { from: 5, next: 5, records: [], failure });
  await intake.take(assignment, {
    batch,
    resolveOffset: () => undefined,
    commitOffsetsIfNecessary: () => Promise.resolve(),
  } as never);
  expect(told).toEqual(['orders/0 is damaged at 5']);
});

it('of a log that has lost what comes after a plan, nothing is told while that plan waits, and the next plan tells all of it, once', async () => {
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const layout = { batchers: 2, keyFunction: 'key' } as const;
  const assignment = new Assignment({ orders: [0] });
  const partition = assignment.get(source)!;
  const told: string[] = [];
  const intake = new BatchIntake({
    admin: { fetchLogs: () => Promise.resolve([{ topic: 'orders', partition: 0, logStart: 20, logEnd: 30 }]) },
    fetching: {
      pause: () => told.push('pause'),
      resume: () => told.push('resume'),
      seek: (_: object, offset: number) => told.push(`seek ${offset}`),
    },
    missing: {
      mayPassGap: (
        _assignment: Assignment,
        _partition: object,
        at: { epoch: string; offset: number },
        missed: number,
      ) => told.push(`gap of ${missed} before ${at.offset} in ${at.epoch}`) > 0,
    },
    moved: () => told.push('moved'),
  } as unknown as ConstructorParameters<typeof BatchIntake>[0]);

  const closing = new PartitionTracker(source, 5, { layout, state: { type: 'closing' }, end: 9 });
  partition.open(closing, 5);
  closing.advanceTo(9);
  intake.outOfRange(assignment, source);
  await eventually(() => expect(told).toEqual(['pause', 'moved', 'resume']));

  told.length = 0;
  const next = new PartitionTracker({ ...source, epoch: 'e2' }, closing.next, { layout, state: READING, end: null });
  partition.open(next, null);
  // The second one was on its way.
  intake.outOfRange(assignment, source);
  intake.outOfRange(assignment, source);
  await eventually(() => expect(told.filter((what) => what === 'resume')).toHaveLength(2));
  expect(told.filter((what) => what.startsWith('gap'))).toEqual(['gap of 11 before 20 in e2']);
  expect(next.next).toBe(20);
});

/**
 * Two partitions, read from offset 0 under epochs of the topics with these ids, and the batches that are fetched of them.
 *
 * @param logOf the id of the topic whose logs Kafka tells of
 */
function ofTopics(topicIds: readonly [string, string], logOf?: string) {
  const layout = { batchers: 2, keyFunction: 'key' } as const;
  const assignment = new Assignment({ orders: [0, 1], others: [0] });
  assignment.get({ topic: 'others', partition: 0 })!.topicId = 'dddd';
  for (const [index, topicId] of topicIds.entries()) {
    const source = { topic: 'orders', partition: index, epoch: `e${index}.${topicId}` };
    const partition = assignment.get(source)!;
    partition.topicId = topicId;
    partition.open(new PartitionTracker(source, 0, { layout, state: READING, end: null }), 0);
  }
  const told: string[] = [];
  const logs = [0, 1].map((partition) => ({ topic: 'orders', partition, logStart: 0, logEnd: 99, topicId: logOf }));
  const intake = new BatchIntake({
    admin: { fetchLogs: () => Promise.resolve(logs) },
    commits: { use: () => undefined, commitEpochs: () => Promise.resolve() },
    opening: {
      topicGone: (_assignment: Assignment, gone: readonly { name: string }[]) =>
        told.push(`gone: ${gone.map(({ name }) => name).join()}`),
    },
    missing: { readsOn: () => undefined },
    readEpochs: new ReadEpochs(),
    plans: { finish: () => undefined },
    pointed: NOTHING_POINTED,
    handOver: (tracker: PartitionTracker, { length }: readonly object[]) =>
      told.push(`${length} of ${tracker.partition} from ${tracker.next} under ${tracker.epoch}`),
    moved: () => undefined,
  } as unknown as ConstructorParameters<typeof BatchIntake>[0]);
  const take = (partition: number, from: number, answer: TopicAnswer | Promise<TopicAnswer>, askedAtMs?: number) => {
    const askTopic = () => ({ askedAtMs: askedAtMs ?? performance.now(), answer: Promise.resolve(answer) });
    const fetched = { topic: 'orders', partition, highWatermark: '99', fetchedOffset: String(from), rawMessages: [] };
    const records = [fetchedRecord(from, 1, null, Buffer.from('{}'))];
    return intake.take(assignment, {
      batch: new FetchedBatch({ ...fetched, askTopic }, { from, next: from + 1, records, failure: null }),
      resolveOffset: () => undefined,
      commitOffsetsIfNecessary: () => Promise.resolve(),
    } as never);
  };
  const partition = (index: number) => assignment.get({ topic: 'orders', partition: index })!;
  return { take, told, partition };
}

it('that a partition is of the new topic does not let one of the old topic pass', async () => {
  const { take, told } = ofTopics(['bbbb', 'aaaa']);
  await take(0, 0, { type: 'topic', topicId: 'bbbb' });
  await take(1, 0, { type: 'topic', topicId: 'bbbb' });
  expect(told).toEqual(['1 of 0 from 0 under e0.bbbb', 'gone: orders/1']);
});

it('once a partition is of a new topic, the others of the old one are not read on, and those of other topics are', async () => {
  const { take, told, partition } = ofTopics(['aaaa', 'aaaa']);
  for (const index of [0, 1]) await take(index, 0, { type: 'topic', topicId: 'aaaa' });
  partition(0).brokerAnswers('NOT_LEADER_FOR_PARTITION', performance.now());
  await take(0, 1, { type: 'topic', topicId: 'bbbb' });
  expect(told.at(-1)).toBe('gone: orders/0,orders/1');
});

it('an answer of a broker that does not know yet that the topic is a new one changes nothing for those read of the new one', async () => {
  const { take, told } = ofTopics(['aaaa', 'bbbb']);
  await take(0, 0, { type: 'topic', topicId: 'aaaa' });
  expect(told).toEqual(['1 of 0 from 0 under e0.aaaa']);
});

it('where the log tells that the topic is a new one, the others of the old one are not read on', async () => {
  const { take, told } = ofTopics(['aaaa', 'aaaa'], 'bbbb');
  await take(0, 5, { type: 'topic', topicId: 'aaaa' });
  expect(told).toEqual(['gone: orders/0,orders/1']);
});

it('a batch of a topic that its broker does not know any more is not taken', async () => {
  const { take, told } = ofTopics(['aaaa', 'aaaa']);
  await take(0, 0, { type: 'noTopic' });
  expect(told).toEqual(['gone: orders/0']);
});

it('without an answer a batch is dropped, and the one that is fetched next is asked about again', async () => {
  const { take, told } = ofTopics(['aaaa', 'aaaa']);
  const waits = take(0, 0, new Promise((resolve) => setTimeout(() => resolve({ type: 'noAnswer' }), 50)));
  await take(1, 0, { type: 'topic', topicId: 'aaaa' });
  expect(told).toEqual(['1 of 1 from 0 under e1.aaaa']);
  await waits;
  await take(0, 0, { type: 'topic', topicId: 'bbbb' });
  expect(told).toEqual(['1 of 1 from 0 under e1.aaaa', 'gone: orders/0,orders/1']);
});

it.each<[string, (world: ReturnType<typeof ofTopics>) => void]>([
  [
    'paused while its topic is asked for',
    ({ partition }) => {
      partition(0).pause('buffer');
      partition(0).resume('buffer');
    },
  ],
  [
    'refused by its broker',
    ({ partition }) => partition(0).brokerAnswers('NOT_LEADER_FOR_PARTITION', performance.now()),
  ],
])('of a partition that was %s, the topic of the next batch is asked for, too', async (_, interrupt) => {
  const world = ofTopics(['aaaa', 'aaaa']);
  const askedAtMs = performance.now();
  await eventually(() => expect(performance.now()).toBeGreaterThan(askedAtMs));
  interrupt(world);
  await world.take(0, 0, { type: 'topic', topicId: 'aaaa' }, askedAtMs);
  await world.take(0, 1, { type: 'topic', topicId: 'bbbb' });
  expect(world.told).toEqual(['1 of 0 from 0 under e0.aaaa', 'gone: orders/0,orders/1']);
});

/** An epoch that has read the topic `aaaa`. */
const OF_TOPIC = 'e1.aaaa';

/**
 * A partition of which 50 offsets were read, the first 40 under leader epoch 4, the others under 5, and a batch of ten records at
 * 50 or another offset.
 *
 * @param end what the leader answers to the question where epoch 5 ends: as the epoch, as it has it, and the offset. Null if the
 * brokers are too old for the question
 * @param topicId null if Kafka does not tell it
 * @param accepted what batchers have accepted
 */
function ofLeaders(
  end: readonly [number, number] | null,
  topicId: string | null = 'aaaa',
  accepted: () => Promise<Remembered> = () => Promise.resolve(new Map()),
) {
  const layout = { batchers: 2, keyFunction: 'key' } as const;
  const source = { topic: 'orders', partition: 0, epoch: OF_TOPIC };
  const assignment = new Assignment({ orders: [0] });
  const partition = assignment.get(source)!;
  partition.topicId = topicId;
  partition.topicSeen(Infinity);
  const readEpochs = new ReadEpochs();
  readEpochs.note(source, epochStarts([4, 0], [5, 40]), 50);
  const told: string[] = [];
  const leader: { isAway: boolean | 'hanging' } = { isAway: false };
  const pauses = { begun: 0, ended: 0 };
  const note = (what: string) => void told.push(what);
  const options = {
    admin: {
      fetchEpochEnd: (_: object, leaderEpoch: number) => {
        note(`where does ${leaderEpoch} end?`);
        if (leader.isAway === 'hanging') return new Promise(() => undefined);
        if (leader.isAway) return Promise.reject(new Error('orders/0: it has no leader'));
        return Promise.resolve(end === null ? null : { leaderEpoch: end[0], endOffset: end[1] });
      },
    },
    commits: { use: () => undefined, commitEpochs: () => Promise.resolve() },
    fetching: {
      pause: ([paused]: AssignedPartition[], reason: PauseReason) =>
        void (pauses.begun += Number(paused!.pause(reason))),
      resume: ([paused]: AssignedPartition[], reason: PauseReason) =>
        void (pauses.ended += Number(paused!.resume(reason))),
    },
    opening: {
      accepted: () => ({ answer: accepted(), askedAtMs: performance.now() }),
      findStartAgain: (_: Assignment, { cut }: { cut: object | null }) => note(`cut ${JSON.stringify(cut)}`),
    },
    missing: { readsOn: () => undefined },
    readEpochs,
    pointed: NOTHING_POINTED,
    handOver: (_: PartitionTracker, records: readonly { offset: number }[]) =>
      note(`${records[0]?.offset} to ${records.at(-1)?.offset}`),
    moved: () => undefined,
  } as unknown as ConstructorParameters<typeof BatchIntake>[0];
  const intake = new BatchIntake(options, 20);
  const take = async (from: number, ...leaders: readonly (readonly [number, number])[]) => {
    partition.open(new PartitionTracker(source, from, { layout, state: READING, end: null }), from);
    const records = Array.from({ length: 10 }, (_, index) => fetchedRecord(from + index, 1, null, Buffer.from('{}')));
    const fetched = {
      topic: 'orders',
      partition: 0,
      highWatermark: '99',
      fetchedOffset: String(from),
      rawMessages: [],
    };
    const part = {
      from,
      next: from + 10,
      records,
      failure: null,
      ...(leaders.length > 0 ? { leaderEpochs: epochStarts(...leaders) } : {}),
    };
    await intake.take(assignment, {
      batch: new FetchedBatch(fetched, part),
      resolveOffset: (offset: string) => note(`resolved ${offset}`),
      commitOffsetsIfNecessary: () => Promise.resolve(),
    } as never);
    return told;
  };
  return { take, partition, leader, pauses, readOf: () => readEpochs.of(source) };
}

/** Leader epochs, and where each one begins. */
function epochStarts(...starts: readonly (readonly [number, number])[]) {
  return starts.map(([leaderEpoch, from]) => ({ leaderEpoch, from }));
}

it('what another leader has written is taken if the log still has all that was read, and is asked for once', async () => {
  const { take, readOf } = ofLeaders([5, 50]);
  expect(await take(50, [7, 50], [8, 55])).toEqual(['where does 5 end?', '50 to 59', 'resolved 59']);
  expect(readOf()).toMatchObject({ leaderEpoch: 8, to: 60 });
  expect((await take(60, [8, 60])).slice(3)).toEqual(['60 to 69', 'resolved 69']);
});

it('nothing is taken of a log that has lost what was read, though it is long enough again', async () => {
  const { take, partition, readOf } = ofLeaders([5, 45]);
  expect(await take(50, [7, 50])).toEqual(['where does 5 end?', 'cut {"at":45,"to":50}']);
  expect(partition.tracker?.next).toBe(50);
  expect(readOf()).toMatchObject({ leaderEpoch: 5, to: 50 });
});

it('what comes before the cut is taken, and nothing of the batch after it', async () => {
  const { take, partition } = ofLeaders([5, 45]);
  expect(await take(41, [7, 41])).toEqual(['where does 5 end?', '41 to 44']);
  expect(partition.tracker?.next).toBe(45);
});

it.each([true, 'hanging'] as const)(
  'without an answer of the leader (away: %s) a batch is dropped at once, and the one that is fetched after a pause is asked about again',
  async (isAway) => {
    const { take, partition, leader, pauses, readOf } = ofLeaders([5, 50]);
    leader.isAway = isAway;
    const begunAtMs = performance.now();
    expect(await take(50, [7, 50])).toEqual(['where does 5 end?']);
    expect(performance.now() - begunAtMs).toBeLessThan(900);
    expect([pauses, partition.isPausedFor('leader')]).toEqual([{ begun: 1, ended: 0 }, true]);
    expect([partition.tracker?.next, readOf()?.leaderEpoch]).toEqual([50, 5]);
    expect(partition.withheld(performance.now() + 60_000)).toContain(
      'its leader does not say whether its log still has',
    );
    leader.isAway = false;
    await eventually(() => expect(pauses.ended).toBe(1));
    // That it was not fetched for a while asks for its topic, too.
    partition.topicSeen(Infinity);
    expect((await take(50, [7, 50])).slice(1)).toEqual(['where does 5 end?', '50 to 59', 'resolved 59']);
    expect(partition.withheld(performance.now() + 60_000)).toBeNull();
  },
);

it.each([
  ['goes beyond what was read', 41, 48],
  ['ends before that', 38, 45],
])('of a part that lies across the cut and %s, what comes before the cut is taken', async (_, from, cut) => {
  const { take, partition, readOf } = ofLeaders([5, cut]);
  // A rebalance has gone back to the commit. The part has the end of the old records, and the beginning of the new ones.
  expect(await take(from, [5, from], [6, cut])).toEqual(['where does 5 end?', `${from} to ${cut - 1}`]);
  expect(partition.tracker?.next).toBe(cut);
  expect(readOf()).toMatchObject({ leaderEpoch: 5, to: 50 });
  const rest = (await take(cut, [6, cut])).slice(2);
  expect(rest).toEqual(['where does 5 end?', `cut {"at":${cut},"to":50}`]);
});

it('what is read again is taken without a question if it has the leaders that were read, also if another one follows', async () => {
  expect(await ofLeaders([5, 45]).take(35, [4, 35], [5, 40])).toEqual(['35 to 44', 'resolved 44']);
  expect(await ofLeaders([5, 50]).take(45, [5, 45], [6, 50])).toEqual(['45 to 54', 'resolved 54']);
});

describe('batchers have accepted more than the group has committed', () => {
  const mark = { epoch: OF_TOPIC, offset: 69, timestampMs: 1, crc32: 2, acceptedAtMs: 3, leaderEpoch: 5 };
  const coverage = { topic: 'orders', partition: 0, epochs: [], mark };
  const layout = { batchers: 2, keyFunction: 'key' } as const;
  const remembered: Remembered = new Map([['orders/0', [{ layout, batcher: 0, coverage }]]]);

  it.each([
    ['a part that begins with the new leader', 60, [[7, 60]]],
    [
      'a part that lies across the cut',
      55,
      [
        [5, 55],
        [7, 60],
      ],
    ],
  ] as const)(
    'and a cut log has grown again: under the old epoch they would drop what is there now, in %s',
    async (_, from, leaders) => {
      const { take } = ofLeaders([5, 60], 'aaaa', () => Promise.resolve(remembered));
      await take(50, [5, 50]);
      const told = (await take(from, ...leaders)).slice(2);
      const before = from < 60 ? [`${from} to 59`] : ['cut {"at":60,"to":70}'];
      expect(told).toEqual(['where does 5 end?', ...before]);
    },
  );

  it('and the log still has it: it is taken, and the batchers are asked once', async () => {
    const asked = vi.fn(() => Promise.resolve(remembered));
    const { take } = ofLeaders([5, 70], 'aaaa', asked);
    for (const from of [50, 60]) await take(from, [5, from]);
    expect(asked).not.toHaveBeenCalled();
    expect((await take(70, [7, 70])).slice(4)).toEqual(['where does 5 end?', '70 to 79', 'resolved 79']);
    await take(80, [8, 80]);
    expect(asked).toHaveBeenCalledOnce();
  });

  it('and Kafka does not tell the id of the topic: nobody is asked, because the log may be of another topic', async () => {
    const asked = vi.fn(() => Promise.resolve(remembered));
    const { take } = ofLeaders([5, 60], null, asked);
    expect(await take(50, [7, 50])).toEqual(['50 to 59', 'resolved 59']);
    expect(asked).not.toHaveBeenCalled();
  });

  it('and they do not answer: nothing is taken of another leader, and they are asked again', async () => {
    let isAway = true;
    const answer = () => (isAway ? Promise.reject(new Error('no worker')) : Promise.resolve(remembered));
    const { take, partition, pauses } = ofLeaders([5, 60], 'aaaa', answer);
    expect(await take(60, [7, 60])).toEqual([]);
    expect(partition.withheld(performance.now() + 60_000)).toContain('is a worker running?');
    isAway = false;
    await eventually(() => expect(pauses.ended).toBe(1));
    partition.topicSeen(Infinity);
    expect(await take(60, [7, 60])).toEqual(['where does 5 end?', 'cut {"at":60,"to":70}']);
  });
});

it('an earlier leader after a later one has cut the log where the later one began', async () => {
  const { take, readOf } = ofLeaders([4, 100]);
  expect(await take(50, [4, 50])).toEqual(['where does 5 end?', 'cut {"at":40,"to":50}']);
  expect(readOf()).toMatchObject({ leaderEpoch: 5, to: 50 });
  // The same if what is read again, as after a rebalance, is of the earlier leader.
  expect(await ofLeaders([4, 100]).take(38, [4, 38])).toEqual(['where does 5 end?', '38 to 39']);
});

it.each<[string, readonly [number, number], readonly [number, number]]>([
  ['knows no epoch as late as what was read', [-1, -1], [7, 50]],
  ['says that its log is whole, and the batch proves another one', [5, 60], [4, 50]],
])('a batch is dropped, and fetched again, while the leader %s', async (_, end, leader) => {
  const { take, partition } = ofLeaders(end);
  expect(await take(50, leader)).toEqual(['where does 5 end?']);
  expect(partition.tracker?.next).toBe(50);
  expect(partition.withheld(performance.now() + 60_000)).toContain('its leader does not say whether its log still has');
});

it.each<[string, ReturnType<typeof ofLeaders>, (readonly [number, number])[], boolean]>([
  [
    'it goes on where reading has ended, and the same leader has begun it',
    ofLeaders([5, 45]),
    [
      [5, 50],
      [7, 55],
    ],
    false,
  ],
  ['its format names no leaders', ofLeaders([5, 45]), [], false],
  ['the brokers are too old for the question', ofLeaders(null), [[7, 50]], true],
  ['the topic may be another one, as Kafka tells no ids', ofLeaders([5, 45], null), [[7, 50]], false],
])('a batch is taken if %s', async (_, { take }, leaders, isAsked) => {
  expect(await take(50, ...leaders)).toEqual([
    ...(isAsked ? ['where does 5 end?'] : []),
    ...['50 to 59', 'resolved 59'],
  ]);
});
