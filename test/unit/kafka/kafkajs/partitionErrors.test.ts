import { expect, it, vi } from 'vitest';
import type { KafkajsBatch } from '../../../../src/kafka/kafkajs/fetchedBatch.js';
import { internalModule } from '../../../../src/kafka/kafkajs/internals.js';
import { PARTITION_ERROR } from '../../../../src/kafka/kafkajs/partitionErrors.js';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';
import { nothing, readingGroup } from '../../../support/readingGroup.js';
import { fetchResponse, recordBatch, type FetchedPartition } from '../../../support/recordBatches.js';

repairKafkajs();

const PARTITIONS = [0, 1, 2];

/** kafkajs's own consumer group with a broker that answers as it is told, for each partition that it is asked for. */
function group(
  errorOf: (partition: number) => number,
  leaderOf: (partition: number) => number = () => 1,
  assigners: object[] = [],
) {
  const { decode, parse } = internalModule('protocol/requests/fetch/v11/response') as {
    decode: (bytes: Buffer) => Promise<object>;
    parse: (data: object) => Promise<object>;
  };
  const asked: number[][] = [];
  const done = { refreshes: 0, outOfRange: [] as object[], hidden: false };
  const broker = {
    fetch: async ({ topics }: { topics: { partitions: { partition: number }[] }[] }) => {
      const partitions = topics.flatMap((topic) => topic.partitions.map(({ partition }) => partition));
      asked.push(partitions);
      const answers = partitions.map((partition): FetchedPartition => {
        const errorCode = errorOf(partition);
        const records = recordBatch({ base: 0, records: [{ delta: 0 }] });
        return { partition, errorCode, records: errorCode === 0 ? records : Buffer.alloc(0) };
      });
      return parse(await decode(fetchResponse('orders', answers)));
    },
  };
  const cluster = {
    refreshMetadataIfNecessary: nothing,
    refreshMetadata: async () => {
      done.refreshes++;
      return nothing();
    },
    findTopicPartitionMetadata: () =>
      (done.hidden ? [] : PARTITIONS).map((partitionId) => ({ partitionId, leader: leaderOf(partitionId) })),
    findBroker: () => Promise.resolve(broker),
  };
  const made = readingGroup(cluster, PARTITIONS, { assigners });
  made.recoverFromOffsetOutOfRange = (error) => Promise.resolve(void done.outOfRange.push(error));
  return { made, asked, done };
}

const partitionsOf = (batches: KafkajsBatch[]) => batches.map(({ partition }) => partition);

it.each([
  ['NOT_LEADER_OR_FOLLOWER', 6],
  ['KAFKA_STORAGE_ERROR', 56],
  ['FENCED_LEADER_EPOCH', 74],
  ['UNKNOWN_LEADER_EPOCH', 75],
  ['OFFSET_NOT_AVAILABLE', 78],
  ['UNKNOWN_TOPIC_OR_PARTITION', 3],
  ['UNKNOWN_SERVER_ERROR', -1],
])(
  '%s of one partition costs the others nothing: it is asked again after a pause, with new metadata',
  async (_, code) => {
    let nowMs = performance.now() + 10_000;
    vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
    let failing = true;
    const { made, asked, done } = group((partition) => (partition === 1 && failing ? code : 0));
    expect(partitionsOf(await made.fetch('1'))).toEqual([0, 2]);
    expect(partitionsOf(await made.fetch('1'))).toEqual([0, 2]);
    expect([asked, done.refreshes]).toEqual([[PARTITIONS, [0, 2]], 0]);
    failing = false;
    nowMs += 2_000;
    expect(partitionsOf(await made.fetch('1'))).toEqual(PARTITIONS);
    expect(done.refreshes).toBe(1);
    nowMs += 2_000;
    expect(partitionsOf(await made.fetch('1'))).toEqual(PARTITIONS);
    expect(done.refreshes).toBe(1);
    vi.restoreAllMocks();
  },
);

it('offsets out of range are told for each partition, and the others are read', async () => {
  const { made, done } = group((partition) => (partition === 0 ? 0 : 1));
  expect(partitionsOf(await made.fetch('1'))).toEqual([0]);
  expect(done.outOfRange).toEqual([1, 2].map((partition) => ({ topic: 'orders', partition })));
});

it('what the broker finds unreadable goes on to where it blocks its partition', async () => {
  const { made } = group((partition) => (partition === 1 ? 2 : 0));
  expect(partitionsOf(await made.fetch('1'))).toEqual(PARTITIONS);
});

it('what a user may not read is told to the handler, until it may be read, and the others are read', async () => {
  let nowMs = performance.now() + 10_000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const told: unknown[] = [];
  let code = 29;
  const assigner = { [PARTITION_ERROR]: (where: object, error: string | null) => told.push([where, error]) };
  const { made } = group((partition) => (partition === 1 ? code : 0), undefined, [assigner]);
  expect(partitionsOf(await made.fetch('1'))).toEqual([0, 2]);
  nowMs += 2_000;
  expect(partitionsOf(await made.fetch('1'))).toEqual([0, 2]);
  code = 0;
  for (let round = 0; round < 2; round++) {
    nowMs += 2_000;
    expect(partitionsOf(await made.fetch('1'))).toEqual(PARTITIONS);
  }
  const where = { topic: 'orders', partition: 1 };
  const refused = [where, 'TOPIC_AUTHORIZATION_FAILED'];
  expect(told).toEqual([refused, refused, [where, null]]);
  vi.restoreAllMocks();
});

it('a topic that nothing is known of is looked for every two seconds', async () => {
  let nowMs = performance.now() + 10_000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const { made, done } = group(() => 0);
  done.hidden = true;
  for (let round = 0; round < 3; round++) expect(await made.fetch('1')).toEqual([]);
  expect(done.refreshes).toBe(1);
  done.hidden = false;
  expect(partitionsOf(await made.fetch('1'))).toEqual(PARTITIONS);
  nowMs += 2_000;
  await made.fetch('1');
  expect(done.refreshes).toBe(1);
  vi.restoreAllMocks();
});

it('what a user may not read is an error where there is no handler', async () => {
  const { made } = group((partition) => (partition === 1 ? 29 : 0));
  await expect(made.fetch('1')).rejects.toMatchObject({ type: 'TOPIC_AUTHORIZATION_FAILED' });
});

it('the leader of a partition without one is looked for every two seconds, and no more often', async () => {
  let nowMs = performance.now() + 10_000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  let leader = -1;
  const { made, done } = group(
    () => 0,
    (partition) => (partition === 2 ? leader : 1),
  );
  for (let round = 0; round < 5; round++) expect(partitionsOf(await made.fetch('1'))).toEqual([0, 1]);
  expect(done.refreshes).toBe(1);
  nowMs += 2_000;
  await made.fetch('1');
  expect(done.refreshes).toBe(2);
  leader = 1;
  expect(partitionsOf(await made.fetch('1'))).toEqual(PARTITIONS);
  nowMs += 2_000;
  await made.fetch('1');
  expect(done.refreshes).toBe(2);
  vi.restoreAllMocks();
});
