import { pino } from 'pino';
import { expect, it } from 'vitest';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { PartitionOpening } from '../../../../src/consumer/partitions/opening.js';
import { NO_LEADER } from '../../../../src/kafka/admin.js';
import { StateLog } from '../../../../src/telemetry/logging.js';
import { eventually } from '../../../support/eventually.js';
import { useShortWaits } from '../../../support/shortWaits.js';

useShortWaits(10);

it('the lanes are told how many members there are after each rebalance and each change, and not once a second while a start is not known', async () => {
  const group = { members: 3, questions: 0 };
  const told: number[] = [];
  // What the opening does not get to here is left out.
  const opening = new PartitionOpening({
    starts: {
      pipeline: { name: 'p', groupId: 'g', layout: { batchers: 2, keyFunction: 'key' } },
      admin: {
        describeTopics: () => Promise.resolve({ clusterId: 'c', brokers: [], topics: new Map() }),
        describeGroups: () => {
          group.questions++;
          return Promise.resolve({ groups: [{ members: Array.from({ length: group.members }) }] });
        },
        fetchLogs: () => Promise.resolve([{ topic: 'orders', partition: 0, problem: NO_LEADER }]),
        fetchHighWatermarks: () => Promise.resolve(new Map()),
        fetchCommits: () => Promise.resolve(new Map()),
      },
    },
    fetching: { pause: () => undefined, resume: () => undefined },
    commits: { clusterId: null },
    held: { count: () => undefined },
    setMembers: (members: number) => void told.push(members),
    moved: () => undefined,
    metrics: { errors: { inc: () => undefined } },
    logger: { info: () => undefined },
    stateLog: new StateLog(pino({ level: 'silent' })),
  } as unknown as ConstructorParameters<typeof PartitionOpening>[0]);
  const rounds = async (count: number): Promise<void> => {
    const until = group.questions + count;
    await eventually(() => expect(group.questions).toBeGreaterThanOrEqual(until));
  };
  const first = new Assignment({ orders: [0] });
  void opening.findStarts(first);
  await rounds(3);
  expect(told).toEqual([3]);
  group.members = 4;
  await rounds(2);
  expect(told).toEqual([3, 4]);
  first.end();
  const second = new Assignment({ orders: [0] });
  void opening.findStarts(second);
  await rounds(3);
  expect(told).toEqual([3, 4, 4]);
  second.end();
});
