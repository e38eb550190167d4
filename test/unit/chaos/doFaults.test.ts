import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { doFaults } from '../../../chaos/doFaults.js';
import { isOfLayout } from '../../../chaos/batchers.js';
import { growthOf } from '../../../chaos/evidence.js';
import { inject, type Victims } from '../../../chaos/inject.js';
import type { PlannedFault } from '../../../chaos/plan.js';

const fault = (atMs: number, daemon: number): PlannedFault => ({
  atMs,
  lastsMs: 0,
  fault: { kind: 'daemon killed', daemon },
});

/** All faults are one group. */
const AT_ONCE = { together: 100, quiet: () => Promise.resolve(), forMs: 120_000 };

it('after an error in one fault those at work stop, and no other begins', async () => {
  const begun: number[] = [];
  const stopped: number[] = [];
  const failure = new Error('broken');
  const plan = [fault(0, 1), fault(5, 2), fault(6, 1), fault(60_000, 3)];
  const done = doFaults(plan, {
    ...AT_ONCE,
    act: async ({ atMs }, signal) => {
      begun.push(atMs);
      if (atMs === 5) throw failure;
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          stopped.push(atMs);
          reject(new Error('told to stop'));
        });
      });
    },
  });
  await expect(done).rejects.toBe(failure);
  expect(begun).toEqual([0, 5]);
  expect(stopped).toEqual([0]);
});

it('does one fault after the other to the same thing', async () => {
  const log: string[] = [];
  await doFaults([fault(0, 1), fault(1, 1)], {
    ...AT_ONCE,
    act: async ({ atMs }) => {
      log.push(`begin ${atMs}`);
      await sleep(20);
      log.push(`end ${atMs}`);
    },
  });
  expect(log).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1']);
});

it('after each group of faults it is quiet: all of them are over, and no other has begun', async () => {
  const log: string[] = [];
  const note = async (what: string, ms: number): Promise<void> => {
    log.push(`${what} begins`);
    await sleep(ms);
    log.push(`${what} ends`);
  };
  await doFaults([fault(0, 1), fault(10, 2), fault(20, 3)], {
    act: ({ atMs }) => note(`fault at ${atMs}`, 40),
    together: 2,
    quiet: () => note('quiet', 40),
    forMs: 60_000,
  });
  expect(log).toEqual([
    ...['fault at 0 begins', 'fault at 10 begins', 'fault at 0 ends', 'fault at 10 ends', 'quiet begins', 'quiet ends'],
    ...['fault at 20 begins', 'fault at 20 ends', 'quiet begins', 'quiet ends'],
  ]);
});

it('begins no fault after its time, which goes on while it is quiet', async () => {
  const begun: number[] = [];
  await doFaults([fault(0, 1), fault(10, 2), fault(20, 3)], {
    ...AT_ONCE,
    act: ({ atMs }) => Promise.resolve(void begun.push(atMs)),
    together: 2,
    quiet: () => sleep(100),
    forMs: 100,
  });
  expect(begun).toEqual([0, 10]);
});

it.each([
  [true, ['start', 'assigned', 'terminate', 'start', 'assigned', 'kill']],
  [false, ['start', 'terminate', 'start', 'kill']],
])('a member that comes and goes counts only if it had partitions: %s', async (hasPartitions, expected) => {
  const log: string[] = [];
  const note = (what: string) => vi.fn(() => Promise.resolve(void log.push(what)));
  const guest = {
    start: note('start'),
    terminate: note('terminate'),
    kill: note('kill'),
    untilAssigned: () => {
      if (hasPartitions) log.push('assigned');
      return Promise.resolve(hasPartitions);
    },
  };
  const planned: PlannedFault = { atMs: 0, lastsMs: 1, fault: { kind: 'members come and go', rounds: 2 } };
  const isDone = await inject(planned, { guest } as unknown as Victims, new AbortController().signal);
  expect(isDone).toBe(hasPartitions);
  expect(log).toEqual(expected);
});

/**
 * Victims that note what is done to their two daemons, and what they are told.
 *
 * @param step by how much everything grows that can be counted, each time that somebody looks
 */
function noted(step: number): { victims: Victims; log: string[] } {
  const log: string[] = [];
  const note = (what: string) => () => Promise.resolve(void log.push(what));
  let looks = 0;
  const count = () => Promise.resolve(step * looks++);
  const daemons = [1, 2].map((number) => ({
    terminate: note(`end ${number}`),
    kill: note(`kill ${number}`),
    start: note(`start ${number}`),
    under: (conditions: object) => void log.push(`${number} under ${JSON.stringify(conditions)}`),
    // It has a line more each time that somebody looks.
    logBytes: () => looks++,
    linesAhead: () => step,
    linesWith: () => step,
    heapUsed: () => Promise.resolve(step * 2 ** 40),
    endsForMemory: 0,
  }));
  const part = { start: note('start temporal'), running: true };
  const victims = {
    daemons,
    configure: (changes: object) => void log.push(`configure ${JSON.stringify(changes)}`),
    send: ({ records }: { records: number }) => note(`send ${records}`)().then(() => records * step),
    keys: { add: () => void log.push('add a key'), activate: () => void log.push('activate it') },
    signalsByKey: () => Promise.resolve(step),
    disks: { fill: note('fill'), free: note('free') },
    stack: { parts: { temporal: part, clickhouse: part } },
    replies: 'replies',
    remade: { topic: 'remade', partitions: 1 },
    addToRemade: note('send more'),
    remake: (records: number, whileRead: boolean) => note(`remake ${records} ${whileRead}`)().then(() => records),
    topic: {
      committedInAll: count,
      endOf: () => Promise.resolve(0),
      partitions: () => Promise.resolve(6),
      extend: note('extend'),
      again: () =>
        Promise.resolve({
          committed: () => Promise.resolve(step === 0 ? -1 : 7),
          disconnect: () => Promise.resolve(),
        }),
    },
    batchers: {
      runsOfLayout: count,
      continuedRuns: count,
      pileUp: () => note('pile up')().then(() => step * 9_000),
      canWrite: () => Promise.resolve(step === 0),
    },
    leaders: { move: note('move'), giveBack: note('give back'), moved: () => Promise.resolve(step) },
    table: {
      errors: count,
      away: note('away'),
      back: note('back'),
      addColumn: note('add'),
      dropColumn: note('drop'),
      rowsSinceAltered: () => Promise.resolve(step),
      failView: note('fail'),
      mendView: note('mend'),
      makeAnew: note('make anew'),
      epochsOf: () => Promise.resolve([]),
      partitionsUnderOthers: () => Promise.resolve(step),
      rowsBeforeAndAfter: () => Promise.resolve([step, step]),
    },
  };
  return { victims: victims as unknown as Victims, log };
}

const BURST = { records: 9, badEvery: 0, bytesMax: 0 };

it.each<[PlannedFault['fault'], string[]]>([
  [
    { kind: 'workers away', burst: BURST },
    [
      ...['end 1', '1 under {"role":"consumer"}', 'start 1', 'end 2', '2 under {"role":"consumer"}', 'start 2'],
      ...['send 9', 'end 1', '1 under {}', 'start 1', 'end 2', '2 under {}', 'start 2'],
    ],
  ],
  [
    { kind: 'short histories', burst: BURST },
    [
      ...['configure {"shortHistories":true}', 'end 1', '1 under {}', 'start 1', 'end 2', '2 under {}', 'start 2'],
      ...['send 9', 'configure {}', 'end 1', '1 under {}', 'start 1', 'end 2', '2 under {}', 'start 2'],
    ],
  ],
  [
    { kind: 'signals piled up' },
    [
      ...['end 1', '1 under {"role":"consumer"}', 'start 1', 'end 2', '2 under {"role":"consumer"}', 'start 2'],
      ...['pile up', 'end 1', '1 under {}', 'start 1', 'end 2', '2 under {}', 'start 2'],
    ],
  ],
  [
    { kind: 'memory tight', daemon: 1, heapMiB: 40 },
    ['end 2', '2 under {"heapMiB":40}', 'start 2', 'end 2', '2 under {}', 'start 2'],
  ],
  [
    { kind: 'clock wrong', daemon: 0, shiftMs: 5_000 },
    [
      'end 1',
      '1 under {"clockMs":5000}',
      'start 1',
      '1 under {"clockMs":-5000}',
      '1 under {"clockMs":0}',
      '1 under {}',
    ],
  ],
  [{ kind: 'disk full', full: 'temporal' }, ['fill', 'free', 'start temporal']],
  [{ kind: 'topic made again while read', records: 3 }, ['remake 3 true', 'send more']],
  [
    { kind: 'encryption key changed' },
    [
      ...['add a key', 'configure {}', 'end 1', '1 under {}', 'start 1', 'end 2', '2 under {}', 'start 2'],
      ...['activate it', 'configure {}', 'end 1', '1 under {}', 'start 1', 'end 2', '2 under {}', 'start 2'],
    ],
  ],
])('does and undoes %o', async (fault, expected) => {
  const { victims, log } = noted(1);
  await inject({ atMs: 0, lastsMs: 2, fault }, victims, new AbortController().signal);
  expect(log).toEqual(expected);
});

it.each<PlannedFault['fault']>([
  { kind: 'leaders moved' },
  { kind: 'table away' },
  { kind: 'table altered' },
  { kind: 'table made anew' },
  { kind: 'view failing', rows: 'all' },
  { kind: 'layout changed', batchers: 5, kills: true },
  { kind: 'short histories', burst: BURST },
  { kind: 'workers away', burst: BURST },
  { kind: 'signals piled up' },
  { kind: 'burst', burst: BURST },
  { kind: 'memory tight', daemon: 0, heapMiB: 40 },
  { kind: 'clock wrong', daemon: 0, shiftMs: 5_000 },
  { kind: 'partitions added', added: 2 },
  { kind: 'disk full', full: 'temporal' },
  { kind: 'disk full', full: 'clickhouse' },
  { kind: 'topic made again while read', records: 3 },
  { kind: 'encryption key changed' },
])('$kind hits nothing if nobody has seen that it did', async (fault) => {
  const planned = { atMs: 0, lastsMs: 2, fault };
  const hits = (step: number) => inject(planned, noted(step).victims, new AbortController().signal);
  expect(Number(await hits(0))).toBe(0);
  expect(Number(await hits(1))).toBeGreaterThan(0);
});

it('one daemon reads alone while an election cuts a log', async () => {
  const { victims, log } = noted(1);
  const elections = { hold: () => Promise.resolve(log.push('elect') && 7) };
  const planned: PlannedFault = {
    atMs: 0,
    lastsMs: 1,
    fault: { kind: 'unclean election', partition: 2, regrows: true, uncommitted: false },
  };
  const hits = await inject(planned, { ...victims, elections } as unknown as Victims, new AbortController().signal);
  expect(hits).toBe(7);
  expect(log).toEqual(['end 2', 'elect', 'start 2']);
});

it('what was restarted counts from zero', async () => {
  let count = 10;
  const growth = await growthOf(
    () => Promise.resolve(count),
    (act) => act(),
  );
  count = 14;
  expect(await growth()).toBe(4);
  count = 3;
  expect(await growth()).toBe(3);
});

it.each([
  [true, 1],
  [false, 0],
])('a kill of a daemon hits something only if the daemon runs: %s', async (running, hits) => {
  const nothing = () => Promise.resolve();
  const daemon = { running, kill: nothing, start: nothing };
  const planned: PlannedFault = { atMs: 0, lastsMs: 1, fault: { kind: 'daemon killed', daemon: 0 } };
  const hit = await inject(planned, { daemons: [daemon] } as unknown as Victims, new AbortController().signal);
  expect(Number(hit)).toBe(hits);
});

it.each([
  ['lookUp' as const, { insert: 1, lookUp: 3 }, 0],
  ['start' as const, { start: 3 }, 2],
])(
  '%s: what has to come before is brought about, and only answers of that kind count',
  async (asked, armed, closes) => {
    const log: Record<string, number> = {};
    const closed: number[] = [];
    const link = {
      dropAnswers: (each: string, count: number) => void (log[each] = count),
      dropped: (each: string) => (Object.keys(log).length > 0 && each === asked ? 4 : 1),
      heal: () => undefined,
    };
    const batchers = { close: (index: number) => Promise.resolve(closed.push(index) > 0) };
    const victims = { daemons: [{ links: () => [link] }], batchers };
    const planned: PlannedFault = {
      atMs: 0,
      lastsMs: 1,
      fault: { kind: 'answers dropped', daemon: 0, part: 'temporal', asked, count: 3, closes },
    };
    expect(await inject(planned, victims as unknown as Victims, new AbortController().signal)).toBe(3);
    expect(log).toEqual(armed);
    expect(closed).toHaveLength(closes);
  },
);

it('a fault of links says how often it has hit something', async () => {
  const link = {
    hits: 3,
    reset: () => void (link.hits += 2),
    heal: () => undefined,
  };
  const planned: PlannedFault = {
    atMs: 0,
    lastsMs: 1,
    fault: { kind: 'link reset', daemon: 0, part: 'kafka', delayMs: 1 },
  };
  const victims = { daemons: [{ links: () => [link, { hits: 0, reset: () => undefined, heal: () => undefined }] }] };
  expect(await inject(planned, victims as unknown as Victims, new AbortController().signal)).toBe(2);
});

it('knows the layout of a batcher by its number', () => {
  const layouts = ['6-key:0', '6t-key:5', '6-header%3Atenant:1', '60-key:0', '16t-key:2', '5t-key:0'];
  expect(layouts.filter((layout) => isOfLayout(layout, 6))).toEqual(layouts.slice(0, 3));
});
