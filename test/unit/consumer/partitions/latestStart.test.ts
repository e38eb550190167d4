import type { Kafka } from 'kafkajs';
import { expect, it } from 'vitest';
import { commitLatest } from '../../../../src/consumer/partitions/latestStart.js';
import { parseConfig } from '../../../../src/config/load.js';
import { READING, formatCommitMetadata } from '../../../../src/consumer/partitions/commitMetadata.js';
import { LAYOUT } from '../../../support/trackers.js';

const CLUSTER = 'cluster-1';
const NOW_MS = 1_700_000_000_000;
const ours = formatCommitMetadata({ epoch: 'e1', layout: LAYOUT, clusterId: CLUSTER, state: READING });

/**
 * Topics of one partition each, from 0 to 9, and a member that joins as often as `joins` says.
 *
 * @param committed topics that the group has an offset for; `later` those that another member commits while this one joins
 */
function group({
  topics,
  committed = [],
  later = [],
  joins = 1,
  leaderless = [],
  silent,
}: {
  topics: string;
  committed?: string[];
  later?: string[];
  joins?: number;
  leaderless?: string[];
  silent?: string;
}) {
  const [pipeline] = parseConfig(
    `pipelines: { p: { table: t, topics: ${topics}, startFrom: latest } }`,
    'ktb.yaml',
    {},
  ).pipelines;
  const done: string[] = [];
  let join: () => void = () => undefined;
  const offsetOf = (topic: string) =>
    committed.includes(topic) ? { offset: 5, metadata: ours } : { offset: -1, metadata: null };
  const admin = {
    describeTopics: () => {
      // It joins anew while the facts are being looked at.
      if (joins-- > 1) join();
      return Promise.resolve({ clusterId: CLUSTER });
    },
    fetchLogs: (asked: readonly string[]) =>
      Promise.resolve(
        asked.map((topic) =>
          topic === silent
            ? { topic, partition: -1, problem: `Kafka says nothing of topic ${topic}` }
            : leaderless.includes(topic)
              ? { topic, partition: 0, problem: 'it has no leader' }
              : { topic, partition: 0, logStart: 0, logEnd: 10 },
        ),
      ),
    fetchCommits: (_group: string, asked: readonly { topic: string }[]) =>
      Promise.resolve(new Map(asked.map(({ topic }) => [`${topic}/0`, offsetOf(topic)] as const))),
  };
  type Listener = (event: { payload: { memberAssignment: Record<string, number[]> } }) => void;
  const kafka = {
    consumer: () => {
      const listeners = new Map<string, Listener>();
      return {
        events: { GROUP_JOIN: 'join', CRASH: 'crash' },
        on: (event: string, listener: Listener) => void listeners.set(event, listener),
        connect: () => Promise.resolve(),
        subscribe: () => Promise.resolve(),
        pause: () => void done.push('pause'),
        run: () => {
          committed.push(...later);
          join = () => listeners.get('join')?.({ payload: { memberAssignment: {} } });
          join();
          return Promise.resolve();
        },
        commitOffsets: (offsets: { topic: string; offset: string; metadata: string }[]) => {
          for (const { topic, offset, metadata } of offsets) {
            const since = metadata.includes('since') ? ` ${metadata}` : '';
            done.push(`commit ${topic} ${offset}${since}`);
          }
          return Promise.resolve();
        },
        disconnect: () => Promise.resolve(void done.push('leave')),
      };
    },
  } as unknown as Kafka;
  const options = {
    kafka,
    admin: admin as never,
    pipeline: pipeline!,
    layouts: () => Promise.resolve([]),
    batchersOf: () => [],
  };
  return {
    done,
    begin: async (names: string[]) => (await commitLatest(names, options)).atEnds,
    commitAll: (names: string[]) => commitLatest(names, options, () => NOW_MS),
  };
}

it('commits the ends of logs that the group has no offset for, as a member that fetches nothing', async () => {
  const { done, begin } = group({ topics: '[a, b]', committed: ['b'] });
  expect(await begin(['a', 'b'])).toBe(1);
  expect(done).toEqual(['pause', 'commit a 10', 'leave']);
});

it('does not join where all have offsets', async () => {
  const { done, begin } = group({ topics: '[a]', committed: ['a'] });
  expect(await begin(['a'])).toBe(0);
  expect(done).toEqual([]);
});

it('leaves alone what others have committed while it joined', async () => {
  const { done, begin } = group({ topics: '[a, b]', later: ['a'] });
  expect(await begin(['a', 'b'])).toBe(1);
  expect(done).toEqual(['pause', 'commit b 10', 'leave']);
});

it('a topic that matches is new where the group has read others that match', async () => {
  const { begin, done } = group({ topics: "['/m.*/', named]", committed: ['m1'] });
  expect(await begin(['m1', 'm2', 'named'])).toBe(1);
  expect(done).toContain('commit named 10');
  expect(await group({ topics: "['/m.*/', named]", committed: ['named'] }).begin(['m1', 'm2', 'named'])).toBe(2);
});

it('looks again where the group rebalances meanwhile', async () => {
  const { done, begin } = group({ topics: '[a]', joins: 3 });
  expect(await begin(['a'])).toBe(1);
  expect(done).toEqual(['pause', 'pause', 'pause', 'commit a 10', 'leave']);
});

it('a partition without a leader keeps no other from getting its offset, is named, and gets the time in its place', async () => {
  const { done, commitAll } = group({ topics: '[a, b]', leaderless: ['a'] });
  const waiting = [{ topic: 'a', partition: 0, problem: 'it has no leader' }];
  expect(await commitAll(['a', 'b'])).toEqual({ atEnds: 1, waiting, silent: [], sinceMs: NOW_MS });
  expect(done).toEqual(['pause', 'commit b 10', `commit a 0 ktb1;since=${NOW_MS}`, 'leave']);
});

it('commits the time also where no partition has a leader', async () => {
  const { done, commitAll } = group({ topics: "['/m.*/']", leaderless: ['m1', 'm2'] });
  expect(await commitAll(['m1', 'm2'])).toMatchObject({ atEnds: 0 });
  expect(done).toEqual(['pause', `commit m1 0 ktb1;since=${NOW_MS}`, `commit m2 0 ktb1;since=${NOW_MS}`, 'leave']);
});

it('commits nothing while Kafka says nothing of a topic: where the others had offsets, it would count as new', async () => {
  const { done, commitAll } = group({ topics: "['/m.*/']", silent: 'm2' });
  await expect(commitAll(['m1', 'm2'])).rejects.toThrow('Kafka says nothing of topic m2');
  expect(done).toEqual([]);
});

it.each([
  ['b is named', '[a, b]', ['a', 'b'], 'b'],
  ['b matches', "[a, '/m.*/']", ['a', 'm2'], 'm2'],
])(
  'a topic that Kafka says nothing of keeps no other from being read where those have offsets: %s',
  async (_, topics, names, silent) => {
    const { done, commitAll } = group({ topics, committed: ['a'], silent });
    expect(await commitAll(names)).toEqual({ atEnds: 0, waiting: [], silent: [silent], sinceMs: NOW_MS });
    expect(done).toEqual([]);
  },
);

it('commits nothing while Kafka says nothing of a topic and another one has no offset yet', async () => {
  const { done, commitAll } = group({ topics: '[a, b, c]', committed: ['a'], silent: 'b' });
  await expect(commitAll(['a', 'b', 'c'])).rejects.toThrow('Kafka says nothing of topic b');
  expect(done).toEqual([]);
});
