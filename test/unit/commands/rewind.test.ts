import { expect, it } from 'vitest';
import { brokenOffText, mustFillAlone, planPartitions, rewindText } from '../../../src/commands/rewind.js';

const planned = [
  { topic: 'a', partition: 0, committed: 9, end: 12, plan: { type: 'commit', offset: 4, metadata: '' } as const },
  {
    topic: 'a',
    partition: 1,
    committed: 3,
    end: 5,
    plan: { type: 'leave', why: 'nothing', reason: 'it is there already' } as const,
  },
];
const text = (to: Parameters<typeof rewindText>[1], again = false) =>
  rewindText(planned, to, { again, dryRun: true }).join('\n');

it('says what goes back and what stays, and how many records that are', () => {
  expect(text('earliest')).toBe(
    'a/0: would go back from 9 to 4\n' +
      'a/1: left at 3: it is there already\n' +
      'Up to 8 records are read again, and those that the table lacks are inserted.',
  );
  expect(text(4, true)).toContain('Up to 5 records are ingested again.');
});

it('says whose time a time is compared with, and what does not depend on it', () => {
  expect(text({ timestampMs: 0 })).toMatch(/records' own timestamps.*LogAppendTime.*--to earliest/);
  // All of them again would double rows.
  expect(text({ timestampMs: 0 }, true)).toMatch(/own timestamps/);
  expect(text({ timestampMs: 0 }, true)).not.toContain('earliest');
});

it('counts what was left for a problem, and says of no offset that is not known that there is none', () => {
  const left = (partition: number, committed: number | null | 'unknown', why: 'nothing' | 'problem') =>
    ({ topic: 'a', partition, committed, end: 0, plan: { type: 'leave', why, reason: 'why' } }) as const;
  const lines = (dryRun: boolean, ...more: ReturnType<typeof left>[]) =>
    rewindText([...planned, ...more], 'earliest', { again: false, dryRun });
  const one = lines(false, left(2, 'unknown', 'problem'), left(3, null, 'nothing'));
  expect(one).toEqual(expect.arrayContaining(['a/2: left where it is: why', 'a/3: left at no offset: why']));
  expect(one.at(-1)).toMatch(/^1 of 4 partitions was left for a problem.*rewind it with --partition/);
  expect(lines(true, left(2, 7, 'problem'), left(-1, 'unknown', 'problem')).slice(2)).toEqual([
    'a/2: left at 7: why',
    'a: left where it is: why',
    expect.stringMatching(/^Up to 8 records/),
    expect.stringMatching(/^2 of 4 partitions would be left for a problem.*rewind them/),
  ]);
});

it('a partition that cannot be asked for is a problem, and where it is committed is not known', async () => {
  const admin = {
    describeTopics: () => Promise.resolve({ clusterId: 'c1', topics: [] }),
    fetchLogs: () =>
      Promise.resolve([
        { topic: 'a', partition: 1, logStart: 0, logEnd: 5, highWatermark: 5 },
        { topic: 'a', partition: 0, problem: 'it has no leader' },
      ]),
    fetchCommits: () => Promise.resolve(new Map()),
    fetchOffsetsAt: () => Promise.resolve(new Map()),
  } as unknown as Parameters<typeof planPartitions>[0];
  expect(await planPartitions(admin, 'g', ['a'], 'earliest', false)).toMatchObject([
    { partition: 0, committed: 'unknown', plan: { type: 'leave', why: 'problem', reason: 'it has no leader' } },
    { partition: 1, committed: null, plan: { type: 'leave', why: 'nothing' } },
  ]);
});

it('after a failed commit it says which partitions have gone back, by what Kafka has now', async () => {
  const commit = (partition: number, metadata = 'fill') =>
    ({ topic: 'a', partition, committed: 9, end: 12, plan: { type: 'commit', offset: 4, metadata } }) as const;
  const all = [
    commit(0),
    commit(1),
    commit(2),
    { ...planned[1], partition: 3 } as (typeof planned)[number],
    commit(4, ''),
  ];
  const texts = (commits: Record<string, { offset: number; metadata: string | null }>) =>
    brokenOffText({ fetchCommits: () => Promise.resolve(new Map(Object.entries(commits))) }, 'g', all);
  const before = { offset: 9, metadata: 'reading' };
  const back = { offset: 4, metadata: 'fill' };
  expect(
    await texts({
      'a/0': back,
      'a/1': before,
      'a/2': { offset: 4, metadata: 'x' },
      'a/4': { offset: 4, metadata: null },
    }),
  ).toEqual([
    'a/0: went back to 4',
    'a/1: not gone back, still at 9',
    'a/2: not gone back, still at 9',
    'a/4: went back to 4',
    expect.stringMatching(/^The commit failed: 2 of 4 partitions have gone back\. Repeat/),
  ]);
  expect(await texts({ 'a/0': before, 'a/1': before })).toEqual(['No partition has gone back.']);
  const silent = { fetchCommits: () => Promise.reject(new Error('no coordinator')) };
  expect(await brokenOffText(silent, 'g', all)).toEqual([
    'Some of 4 partitions may have gone back. Kafka does not tell which: no coordinator',
  ]);
});

it('refuses if another pipeline fills a table of this one from a topic that is rewound: its rows would count', () => {
  const tables = [['acme', 'acme.orders']] as const;
  const tenants = (topics: string[]) => ({
    name: 'tenants',
    destination: { table: null, tablesOfValues: { by: '/tenant', tables, otherwise: { table: 'all.orders' } } },
    topics,
  });
  const archive = (table: string, topics = ['orders']) => ({ name: 'archive', destination: { table }, topics });
  const rewind = (...[of, other]: [ReturnType<typeof tenants>, ReturnType<typeof archive>]) => {
    mustFillAlone([of, other], 'tenants', 'all');
  };
  expect(() => rewind(tenants(['orders']), archive('all.orders'))).toThrow(
    /^table all\.orders also gets the records of topic orders from pipeline archive: their rows would count as rows of tenants/,
  );
  expect(() => rewind(tenants(['orders']), archive('orders'))).toThrow(/^table all\.orders also gets/);
  for (const other of [archive('elsewhere'), archive('all.orders', ['returns'])])
    expect(() => rewind(tenants(['orders']), other)).not.toThrow();
});
