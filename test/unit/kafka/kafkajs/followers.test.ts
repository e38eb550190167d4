import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { internalModule } from '../../../../src/kafka/kafkajs/internals.js';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';
import { nothing, readingGroup } from '../../../support/readingGroup.js';
import { fetchResponse, recordBatch } from '../../../support/recordBatches.js';

repairKafkajs();

const LEADER = 1;
const FOLLOWER = 2;

let nowMs: number;
beforeEach(() => {
  nowMs = performance.now() + 10_000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
});

// The files after this one share its process.
afterEach(() => void vi.restoreAllMocks());

const isAway = (): number => {
  throw Object.assign(new Error('connect ECONNREFUSED'), { name: 'KafkaJSConnectionError' });
};

/** A group that reads partition 0. Its leader prefers the follower for the rack `a`, as a broker of Kafka does. */
function groupInRack() {
  const { decode, parse } = internalModule('protocol/requests/fetch/v11/response') as {
    decode: (bytes: Buffer) => Promise<object>;
    parse: (data: object) => Promise<object>;
  };
  const asked: string[] = [];
  const outOfRange: object[] = [];
  const done = { refreshes: 0, nodeIds: ['1', '2'] };
  const [leader, follower] = [{ does: () => 0 }, { does: () => 0 }];
  const broker = (nodeId: number) => ({
    fetch: async ({ rackId }: { rackId: string }) => {
      asked.push(`${nodeId}${rackId === '' ? ' without a rack' : ''}`);
      const isSent = nodeId === LEADER && rackId === 'a';
      const errorCode = (nodeId === FOLLOWER ? follower : leader).does();
      const records = isSent || errorCode !== 0 ? Buffer.alloc(0) : recordBatch({ base: 0, records: [{ delta: 0 }] });
      const answer = await decode(fetchResponse('orders', [{ partition: 0, errorCode, records }]));
      const { responses } = answer as { responses: { partitions: { preferredReadReplica: number }[] }[] };
      for (const { partitions } of responses)
        for (const partition of partitions) partition.preferredReadReplica = isSent ? FOLLOWER : -1;
      return parse(answer);
    },
  });
  const cluster = {
    refreshMetadataIfNecessary: nothing,
    refreshMetadata: () => {
      done.refreshes++;
      done.nodeIds = ['1', '2'];
      return nothing();
    },
    getNodeIds: () => done.nodeIds,
    findTopicPartitionMetadata: () => [{ partitionId: 0, leader: LEADER }],
    findBroker: ({ nodeId }: { nodeId: string }) => Promise.resolve(broker(Number(nodeId))),
  };
  const group = readingGroup(cluster, [0], { rackId: 'a', metadataMaxAge: 60_000 });
  group.recoverFromOffsetOutOfRange = (error) => Promise.resolve(void outOfRange.push(error));
  /** Fetches from both brokers, as kafkajs does. */
  const round = async (): Promise<void> => {
    for (const nodeId of done.nodeIds) await group.fetch(nodeId);
  };
  return { asked, outOfRange, leader, follower, round, group, done };
}

it('records are fetched from the follower that the leader names', async () => {
  const { asked, round } = groupInRack();
  await round();
  await round();
  expect(asked).toEqual(['1', '2', '2']);
});

it.each([
  ['is no replica any more', 6],
  ['lacks the offset', 1],
  ['has an error', -1],
  ['cannot read its log', 2],
  ['cannot read what a later version has compressed', 76],
])(
  'a follower that %s is left for the leader, nobody is told, and half a minute later it may be named again',
  async (_, code) => {
    const { asked, outOfRange, follower, round } = groupInRack();
    await round();
    follower.does = () => code;
    asked.length = 0;
    await round();
    await round();
    await round();
    expect(asked).toEqual(['2', '1 without a rack', '1 without a rack']);
    expect(outOfRange).toEqual([]);
    follower.does = () => 0;
    nowMs += 30_000;
    await round();
    await round();
    expect(asked.slice(3)).toEqual(['1', '2', '2']);
  },
);

it('a follower that is away does not end the consumer', async () => {
  const { asked, follower, round } = groupInRack();
  await round();
  asked.length = 0;
  follower.does = isAway;
  await round();
  await round();
  expect(asked).toEqual(['2', '1 without a rack']);
});

it('a batch that cannot be read says which broker gave it, and a follower’s is fetched from the leader', async () => {
  const { asked, round, group } = groupInRack();
  await round();
  const [ofFollower] = await group.fetch('2');
  expect([ofFollower?.from?.nodeId, ofFollower?.from?.leave()]).toEqual(['2', true]);
  asked.length = 0;
  await round();
  expect(asked).toEqual(['1 without a rack']);
  const [ofLeader] = await group.fetch('1');
  expect([ofLeader?.from?.nodeId, ofLeader?.from?.leave()]).toEqual(['1', false]);
});

it('a follower that the client does not know yet is not waited for: the leader is read, and the client looks for it', async () => {
  const { asked, round, done } = groupInRack();
  done.nodeIds = ['1'];
  await round();
  await round();
  expect([asked, done.refreshes]).toEqual([['1', '1 without a rack'], 1]);
  nowMs += 30_000;
  await round();
  await round();
  expect([asked.slice(2), done.refreshes]).toEqual([['1', '2', '2'], 1]);
});

it('a leader that is away is left to kafkajs', async () => {
  const { leader, round } = groupInRack();
  leader.does = isAway;
  await expect(round()).rejects.toThrow('ECONNREFUSED');
});
