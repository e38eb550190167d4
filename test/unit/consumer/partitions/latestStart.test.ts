import type { Kafka } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { FirstEnds } from '../../../../src/consumer/partitions/firstEnds.js';
import { commitLatest } from '../../../../src/consumer/partitions/latestStart.js';
import { parseConfig } from '../../../../src/config/load.js';
import {
  READING,
  formatCommitMetadata,
  parseCommitMetadata,
} from '../../../../src/consumer/partitions/commitMetadata.js';
import { partitionName } from '../../../../src/protocol/record.js';
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
    begin: async (names: string[]) => (await commitLatest(names, options, new FirstEnds())).atEnds,
    commitAll: (names: string[]) => commitLatest(names, options, new FirstEnds(() => NOW_MS)),
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
  expect(await commitAll(['a', 'b'])).toEqual({ atEnds: 1, atBeginnings: [], waiting, silent: [], sinceMs: NOW_MS });
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
    expect(await commitAll(names)).toEqual({
      atEnds: 0,
      atBeginnings: [],
      waiting: [],
      silent: [silent],
      sinceMs: NOW_MS,
    });
    expect(done).toEqual([]);
  },
);

it('commits nothing while Kafka says nothing of a topic and another one has no offset yet', async () => {
  const { done, commitAll } = group({ topics: '[a, b, c]', committed: ['a'], silent: 'b' });
  await expect(commitAll(['a', 'b', 'c'])).rejects.toThrow('Kafka says nothing of topic b');
  expect(done).toEqual([]);
});

const LOG_START = 2;
const LOG_END = 10;
const refusal = () => Object.assign(new Error('Not authorized'), { type: 'TOPIC_AUTHORIZATION_FAILED' });

/** A group whose offsets stay, so that starts can follow each other. */
class StoredGroup {
  /** How many partitions each topic has. */
  readonly partitions: Record<string, number>;
  readonly commits = new Map<string, { offset: number; metadata: string }>();
  readonly leaderless = new Set<string>();
  /** Topics that do not exist yet. */
  readonly missing = new Set<string>();
  /** Whether no broker answers. */
  isAway = false;
  /** Topics that this user may not read. */
  readonly refused = new Set<string>();
  /** Partitions of which batchers have accepted records. */
  readonly accepted: { topic: string; partition: number }[] = [];
  logEnd = LOG_END;
  /** The first offsets since {@link NOW_MS}, by partition. */
  readonly sinceNow = new Map<string, number>();
  fetchCommits: <Answer>(answer: Answer) => Promise<Answer> = (answer) => Promise.resolve(answer);
  requests = 0;
  /** Called before each commit. */
  beforeCommit: (request: number, join: () => void) => void = () => undefined;
  readonly #topics: string;

  constructor(topics: string, partitions: Record<string, number>) {
    this.#topics = topics;
    this.partitions = partitions;
  }

  start(firstEnds = new FirstEnds(() => NOW_MS)) {
    const [pipeline] = parseConfig(
      `pipelines: { p: { table: t, topics: ${this.#topics}, startFrom: latest } }`,
      'ktb.yaml',
      {},
    ).pipelines;
    const admin = {
      describeTopics: () => Promise.resolve({ clusterId: CLUSTER }),
      fetchLogs: async (asked: readonly string[]) => {
        await Promise.resolve();
        if (this.isAway) throw new Error('no broker answers');
        return asked.flatMap((topic) => {
          if (this.missing.has(topic)) return [{ topic, partition: -1, problem: 'no topic', isMissing: true }];
          return Array.from({ length: this.partitions[topic]! }, (_, partition) =>
            this.leaderless.has(partitionName({ topic, partition }))
              ? { topic, partition, problem: 'it has no leader' }
              : { topic, partition, logStart: LOG_START, logEnd: this.logEnd },
          );
        });
      },
      fetchCommits: (_group: string, asked: readonly { topic: string; partition: number }[]) =>
        this.fetchCommits(
          new Map(
            asked.flatMap((where) => {
              const commit = this.commits.get(partitionName(where));
              return commit === undefined ? [] : [[partitionName(where), commit] as const];
            }),
          ),
        ),
      fetchOffsetsAt: (_asked: unknown, timestampMs: number) =>
        Promise.resolve(timestampMs === NOW_MS ? this.sinceNow : new Map()),
    };
    const coverage = this.accepted.map(({ topic, partition }) => {
      const mark = { epoch: 'e1', offset: 5, timestampMs: 1, crc32: 1, acceptedAtMs: 1 };
      return { topic, partition, epochs: [{ epoch: 'e1', ranges: [[LOG_START, 5]] }], mark };
    });
    return commitLatest(
      Object.keys(this.partitions),
      {
        kafka: this.#kafka(),
        admin: admin as never,
        pipeline: pipeline!,
        layouts: () => Promise.resolve([LAYOUT]),
        batchersOf: () => [{ coverage: () => Promise.resolve(coverage) }] as never,
      },
      firstEnds,
    );
  }

  #kafka(): Kafka {
    const consumer = () => {
      let join = (): void => undefined;
      return {
        events: { GROUP_JOIN: 'join', CRASH: 'crash' },
        on: (event: string, listener: (event: unknown) => void) => {
          if (event === 'join')
            join = () => {
              listener({ payload: { memberAssignment: {} } });
            };
        },
        connect: () => Promise.resolve(),
        subscribe: () => Promise.resolve(),
        pause: () => undefined,
        run: () => {
          join();
          return Promise.resolve();
        },
        // As Kafka: what may be committed is committed, and the answer has an error for the rest.
        commitOffsets: async (
          offsets: { topic: string; partition: number; offset: string; metadata: string }[],
        ): Promise<void> => {
          await Promise.resolve();
          this.beforeCommit(++this.requests, join);
          for (const { offset, metadata, ...where } of offsets)
            if (!this.refused.has(where.topic))
              this.commits.set(partitionName(where), { offset: Number(offset), metadata });
          if (offsets.some(({ topic }) => this.refused.has(topic))) throw refusal();
        },
        disconnect: () => Promise.resolve(),
      };
    };
    return { consumer } as unknown as Kafka;
  }

  /** What is committed: how many partitions for each offset, or time. */
  get summary(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { offset, metadata } of this.commits.values()) {
      const what = parseCommitMetadata(metadata).type === 'unread' ? metadata : String(offset);
      counts[what] = (counts[what] ?? 0) + 1;
    }
    return counts;
  }
}

const many = Object.fromEntries(Array.from({ length: 1_500 }, (_, index) => [`m${index}`, 1]));

/** Lets each request of a first commit in parts fail in turn, and looks at the group after another start. */
async function whereverItFails(make: () => StoredGroup, look: (group: StoredGroup) => void): Promise<void> {
  for (let failing = 1; ; failing++) {
    const group = make();
    group.beforeCommit = (request) => {
      if (request === failing) throw new Error('the coordinator is away');
    };
    const isFailed = await group.start().then(
      () => false,
      () => true,
    );
    if (!isFailed) {
      expect(failing).toBeGreaterThan(4);
      return;
    }
    await group.start();
    look(group);
  }
}

describe.each([
  ['of one topic', '[a]', { a: 1_500 }],
  ['of several topics', '[a, b, c]', { a: 500, b: 2, c: 998 }],
  ['of very many topics that match', "['/m.*/']", many],
])('a first commit that is too large for one request, %s,', (_, topics, partitions) => {
  it('is completed by the next start, wherever it has failed: all of it begins at the ends', async () => {
    await whereverItFails(
      () => new StoredGroup(topics, { ...partitions }),
      (group) => expect(group.summary).toEqual({ [LOG_END]: 1_500 }),
    );
  });

  it('is made anew where the group rebalances between two of its parts', async () => {
    const group = new StoredGroup(topics, { ...partitions });
    group.beforeCommit = (request, join) => {
      if (request === 2) join();
    };
    await group.start();
    const made = group.requests;
    expect(group.summary).toEqual({ [LOG_END]: 1_500 });
    const steady = new StoredGroup(topics, { ...partitions });
    await steady.start();
    expect(made).toBeGreaterThan(steady.requests);
  });

  it('leaves alone what is new after it', async () => {
    const group = new StoredGroup(topics, { ...partitions });
    await group.start();
    const [topic = ''] = Object.keys(partitions);
    group.partitions[topic]! += 1;
    expect(await group.start()).toMatchObject({ atEnds: 0 });
    expect(group.commits.size).toBe(1_500);
  });
});

describe('a process whose tries fail', () => {
  it('skips nothing that was written since its first one, whatever fails', async () => {
    const failures: ((group: StoredGroup) => void)[] = [
      (group) => (group.fetchCommits = () => Promise.reject(new Error('no right on the group'))),
      (group) => (group.beforeCommit = () => expect.fail('the coordinator is away')),
    ];
    for (const fail of failures) {
      const group = new StoredGroup('[a, b]', { a: 2, b: 2 });
      const firstEnds = new FirstEnds(() => NOW_MS);
      group.leaderless.add('b/1');
      fail(group);
      await expect(group.start(firstEnds)).rejects.toThrow();
      Object.assign(group, new StoredGroup('[a, b]', { a: 3, b: 2 }), { logEnd: 50 });
      group.sinceNow.set('b/1', 20).set('a/2', 0);
      await group.start(firstEnds);
      const offsets = [...group.commits].map(([name, { offset }]) => [name, offset] as const);
      expect(Object.fromEntries(offsets)).toEqual({ 'a/0': 10, 'a/1': 10, 'a/2': 0, 'b/0': 10, 'b/1': 20 });
    }
  });

  /** A process whose first commit has failed, and whose next one, on another group, succeeds. */
  async function afterFailure(first: StoredGroup, next: StoredGroup) {
    const firstEnds = new FirstEnds(() => NOW_MS);
    first.fetchCommits = () => Promise.reject(new Error('no right on the group'));
    await expect(first.start(firstEnds)).rejects.toThrow();
    const result = await next.start(firstEnds);
    const offsets = [...next.commits].map(([name, { offset }]) => [name, offset] as const);
    return { ...result, offsets: Object.fromEntries(offsets) };
  }

  it('skips nothing of a topic and of partitions that were not there at its first one, whatever their records’ times', async () => {
    const first = new StoredGroup('[a, b, c]', { a: 1, b: 2, c: 1 });
    first.missing.add('b');
    first.leaderless.add('c/0');
    const next = new StoredGroup('[a, b, c]', { a: 2, b: 2, c: 1 });
    // All records are older than the first look. So by time each partition would begin at its end.
    next.sinceNow.set('a/1', -1).set('b/0', -1).set('b/1', -1).set('c/0', -1);
    const { offsets } = await afterFailure(first, next);
    expect(offsets).toEqual({ 'a/0': LOG_END, 'a/1': 0, 'b/0': 0, 'b/1': 0, 'c/0': LOG_END });
  });

  it('skips nothing of what was not there at its first one, also if it has no leader now, or is refused', async () => {
    const first = new StoredGroup('[a, b, c]', { a: 1, b: 1, c: 1 });
    first.missing.add('b').add('c');
    const next = new StoredGroup('[a, b, c]', { a: 2, b: 1, c: 1 });
    next.leaderless.add('a/1').add('b/0');
    next.refused.add('c');
    expect(await afterFailure(first, next)).toMatchObject({ waiting: [], silent: [] });
    expect(next.summary).toEqual({ [LOG_END]: 1, 'ktb1;since=0': 2 });
  });

  it('does not count a look that no broker answers', async () => {
    const group = new StoredGroup('[a]', { a: 1 });
    let nowMs = NOW_MS;
    const firstEnds = new FirstEnds(() => nowMs);
    group.isAway = true;
    await expect(group.start(firstEnds)).rejects.toThrow('no broker answers');
    group.isAway = false;
    nowMs += 60_000;
    // A record whose time is in the future: by time an old log would begin there.
    group.sinceNow.set('a/0', 5);
    expect(await group.start(firstEnds)).toMatchObject({ sinceMs: nowMs });
    expect(group.summary).toEqual({ [LOG_END]: 1 });
  });

  it('begins at the present end of a log that has become shorter meanwhile', async () => {
    const group = new StoredGroup('[a]', { a: 1 });
    const firstEnds = new FirstEnds(() => NOW_MS);
    group.beforeCommit = (request) => expect(request).toBeGreaterThan(1);
    await expect(group.start(firstEnds)).rejects.toThrow();
    group.logEnd = 4;
    await group.start(firstEnds);
    expect(group.summary).toEqual({ 4: 1 });
  });
});

it.each([
  ['that is named', '[a, b]', ['a', 'b']],
  ['that matches', "['/m.*/']", ['m1', 'm2']],
])(
  'a topic %s and that this user may not read keeps no other from beginning, and is named',
  async (_, topics, names) => {
    const [one = '', other = ''] = names;
    const group = new StoredGroup(topics, { [one]: 2, [other]: 2 });
    group.refused.add(other);
    expect(await group.start()).toEqual({
      atEnds: 2,
      atBeginnings: [],
      waiting: [
        { topic: other, partition: -1, problem: expect.stringContaining(`topic ${other}: Kafka refuses`) as string },
      ],
      silent: [other],
      sinceMs: NOW_MS,
    });
    expect([...group.commits.keys()]).toEqual([`${one}/0`, `${one}/1`]);
  },
);

it('a topic of very many that this user may not read keeps no other from beginning', async () => {
  const group = new StoredGroup("['/m.*/']", { ...many });
  group.refused.add('m700');
  expect(await group.start()).toMatchObject({ atEnds: 1_499, silent: ['m700'] });
  expect(group.summary).toEqual({ [LOG_END]: 1_499 });
});

describe('where the group has lost its offsets', () => {
  it.each([
    ['a partition of a topic', '[a]', { a: 2 }, 'a/1'],
    ['another topic', '[a, b]', { a: 1, b: 1 }, 'b/0'],
    ['another topic that matches', "[a, '/m.*/']", { a: 1, m1: 1 }, 'm1/0'],
  ])('%s that no batcher knows begins at its beginning, and is named', async (_, topics, partitions, name) => {
    const group = new StoredGroup(topics, partitions);
    group.accepted.push({ topic: 'a', partition: 0 });
    const { atEnds, atBeginnings } = await group.start();
    expect([atEnds, atBeginnings.map(partitionName)]).toEqual([0, [name]]);
    expect([...group.commits]).toMatchObject([[name, { offset: LOG_START }]]);
  });

  it('a topic that no batcher knows begins at its end where the group has offsets of others: it was named later', async () => {
    const group = new StoredGroup('[a, b]', { a: 1, b: 2 });
    group.accepted.push({ topic: 'a', partition: 0 });
    group.commits.set('a/0', { offset: 5, metadata: ours });
    expect(await group.start()).toMatchObject({ atEnds: 2, atBeginnings: [] });
  });

  it('a partition of a topic that batchers know begins at its beginning, also where the group has offsets of others', async () => {
    const group = new StoredGroup('[a, b]', { a: 1, b: 2 });
    group.accepted.push({ topic: 'b', partition: 0 });
    group.commits.set('a/0', { offset: 5, metadata: ours });
    expect(await group.start()).toMatchObject({ atEnds: 0, atBeginnings: [{ topic: 'b', partition: 1 }] });
  });

  it('topics of earlier times that the pipeline does not read tell nothing', async () => {
    const group = new StoredGroup('[a]', { a: 2 });
    group.accepted.push({ topic: 'earlier', partition: 0 });
    expect(await group.start()).toMatchObject({ atEnds: 2, atBeginnings: [] });
  });

  it('a partition without a leader begins at its beginning, too, also where no other has a leader', async () => {
    const group = new StoredGroup('[a]', { a: 2 });
    group.accepted.push({ topic: 'a', partition: 0 });
    for (const name of ['a/0', 'a/1']) group.leaderless.add(name);
    expect(await group.start()).toMatchObject({ atEnds: 0, waiting: [] });
    expect(group.summary).toEqual({ 'ktb1;since=0': 2 });
  });

  it('a commit in parts that fails is completed by the next start: all of it begins at the beginnings', async () => {
    const make = () => {
      const group = new StoredGroup('[a, b]', { a: 1, b: 1_500 });
      group.accepted.push({ topic: 'a', partition: 0 });
      return group;
    };
    await whereverItFails(make, (group) => expect(group.summary).toEqual({ [LOG_START]: 1_500 }));
  });
});

it('leaves the offsets of partitions alone that have no leader now', async () => {
  const group = new StoredGroup('[a]', { a: 1 });
  group.commits.set('a/0', { offset: 5, metadata: ours });
  group.leaderless.add('a/0');
  expect(await group.start()).toMatchObject({ atEnds: 0, waiting: [] });
  expect([...group.commits.values()]).toEqual([{ offset: 5, metadata: ours }]);
});
