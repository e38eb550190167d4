import { AssignerProtocol } from 'kafkajs';
import { expect, it } from 'vitest';
import { internalModule } from '../../../../src/kafka/kafkajs/internals.js';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';

repairKafkajs();

interface Group {
  generationId: number;
  joinAndSync(): Promise<void>;
  fetch(nodeId: string): Promise<unknown[]>;
  assigned(): { topic: string; partitions: number[] }[];
}

/** kafkajs's own consumer group. At each join it gets the next generation, and at each sync the next of these answers. */
function group(answers: readonly (number[] | Error)[]): { group: Group; fetched: number[][] } {
  const nothing = () => Promise.resolve();
  const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing };
  const fetched: number[][] = [];
  let generationId = 0;
  let syncs = 0;
  const coordinator = {
    joinGroup: () =>
      Promise.resolve({
        generationId: ++generationId,
        leaderId: 'other',
        memberId: 'one',
        members: [],
        groupProtocol: 'own',
      }),
    syncGroup: () => {
      const answer = answers[syncs++];
      if (!Array.isArray(answer)) return Promise.reject(answer ?? new Error('no more answers'));
      const userData = Buffer.alloc(0);
      return Promise.resolve({
        memberAssignment: AssignerProtocol.MemberAssignment.encode({
          version: 0,
          assignment: { orders: answer },
          userData,
        }),
      });
    },
  };
  const cluster = {
    findGroupCoordinator: () => Promise.resolve(coordinator),
    refreshMetadataIfNecessary: nothing,
    refreshMetadata: nothing,
    committedOffsets: () => ({}),
    findTopicPartitionMetadata: () => [0, 1, 2, 3].map((partitionId) => ({ partitionId, leader: 1 })),
  };
  const ConsumerGroup = internalModule('consumer/consumerGroup') as new (options: object) => Group;
  const made = new ConsumerGroup({
    ...{ cluster, topics: ['orders'], maxWaitTimeInMs: 1, groupId: 'orders', retry: { retries: 0 } },
    assigners: [{ name: 'own', version: 1, protocol: () => ({ name: 'own', metadata: Buffer.alloc(0) }) }],
    instrumentationEmitter: { emit: nothing },
    logger: { namespace: () => quiet },
  });
  const all = made as unknown as { seekOffsets(): Promise<void>; offsetManager: { committedOffsets(): object } };
  all.seekOffsets = () => {
    fetched.push(made.assigned().flatMap(({ partitions }) => partitions));
    // Nothing has an offset yet, so nothing is asked of a broker.
    all.offsetManager.committedOffsets = () => ({ orders: {} });
    return Promise.resolve();
  };
  return { group: made, fetched };
}

const LOST = Object.assign(new Error('the connection broke'), { name: 'KafkaJSConnectionClosedError' });

it('a member that does not hear of its partitions has to join again before it fetches', async () => {
  const { group: member, fetched } = group([[0, 1], LOST, [2, 3]]);
  await member.joinAndSync();
  await member.fetch('1');
  expect(fetched).toEqual([[0, 1]]);
  await expect(member.joinAndSync()).rejects.toThrow('the connection broke');
  // It would fetch what it had before, and keep what it has by its heartbeats.
  expect(member.generationId).toBe(2);
  await expect(member.fetch('1')).rejects.toMatchObject({ type: 'REBALANCE_IN_PROGRESS' });
  expect(fetched).toEqual([[0, 1]]);
  await member.joinAndSync();
  await member.fetch('1');
  expect(fetched).toEqual([
    [0, 1],
    [2, 3],
  ]);
});

it.each([
  ['the later', [[0, 1], [0, 1], LOST, [2, 3]]],
  ['the earlier', [[0, 1], LOST, [0, 1], [2, 3]]],
])('of two joins at once both have to be answered: %s one is lost', async (_, answers) => {
  const { group: member, fetched } = group(answers);
  await member.joinAndSync();
  const joins = Promise.allSettled([member.joinAndSync(), member.joinAndSync()]);
  // A fetch that begins meanwhile waits, and does not join a third time.
  await expect(member.fetch('1')).rejects.toMatchObject({ type: 'REBALANCE_IN_PROGRESS' });
  expect((await joins).map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  await expect(member.fetch('1')).rejects.toMatchObject({ type: 'REBALANCE_IN_PROGRESS' });
  expect(fetched).toEqual([]);
  await member.joinAndSync();
  await member.fetch('1');
  expect(fetched).toEqual([[2, 3]]);
});

it('a fetch that begins during a join reads what the join gives', async () => {
  const { group: member, fetched } = group([
    [0, 1],
    [2, 3],
  ]);
  await member.joinAndSync();
  const joining = member.joinAndSync();
  await member.fetch('1');
  await joining;
  expect(fetched).toEqual([[2, 3]]);
});
