import { expect, it } from 'vitest';
import {
  describeFault,
  drawPlan,
  FAULT_KINDS,
  overlap,
  type FaultKind,
  type PlannedFault,
  type Setting,
} from '../../../chaos/plan.js';
import { BATCHER } from '../../../src/protocol/batcher.js';
import { Random } from '../../../chaos/random.js';

const SETTING: Setting = {
  daemons: 2,
  roles: ['both', 'both'],
  brokers: 3,
  batchers: 4,
  partitions: 6,
  sessionMs: 6_000,
  gapMs: 5_000,
  disks: ['temporal', 'clickhouse'],
};
const HOUR_MS = 3_600_000;

const plan = (seed: number) => drawPlan(new Random(seed), SETTING, HOUR_MS);

it('draws the same faults for the same seed, and others for another one', () => {
  expect(plan(1)).toEqual(plan(1));
  expect(plan(1)).not.toEqual(plan(2));
});

it('draws every kind of fault in an hour', () => {
  const kinds = new Set(plan(3).map(({ fault }) => fault.kind));
  expect([...kinds].sort()).toEqual([...FAULT_KINDS].sort());
});

it('draws only the kinds that are asked for', () => {
  const drawn = drawPlan(new Random(7), SETTING, HOUR_MS, ['disk full', 'burst']);
  expect(new Set(drawn.map(({ fault }) => fault.kind))).toEqual(new Set(['disk full', 'burst']));
});

it('fills no disk if there is none to fill', () => {
  const kinds = drawPlan(new Random(8), { ...SETTING, disks: [] }, HOUR_MS).map(({ fault }) => fault.kind);
  expect(kinds).not.toContain('disk full');
  expect(drawPlan(new Random(8), { ...SETTING, disks: [] }, HOUR_MS, ['disk full'])).toEqual([]);
});

/** Faults of one kind, of a plan of an hour. */
function only<K extends FaultKind>(kind: K): Extract<PlannedFault['fault'], { kind: K }>[] {
  const drawn = drawPlan(new Random(9), SETTING, HOUR_MS, [kind]).map(({ fault }) => fault);
  expect(drawn.length).toBeGreaterThan(20);
  return drawn as Extract<PlannedFault['fault'], { kind: K }>[];
}

it('fills the disk of each part that has one', () => {
  expect(new Set(only('disk full').map(({ full }) => full))).toEqual(new Set(['temporal', 'clickhouse']));
});

it('sets clocks by seconds, minutes and hours, up to a day', () => {
  const shifts = only('clock wrong').map(({ shiftMs }) => shiftMs);
  for (const [min, max] of [
    [2_000, 60_000],
    [60_000, 3_600_000],
    [3_600_000, 86_400_000],
  ] as const)
    expect(shifts.some((shiftMs) => shiftMs >= min && shiftMs <= max)).toBe(true);
  expect(Math.max(...shifts)).toBeLessThanOrEqual(86_400_000);
});

it('sends bursts of many records, bursts of which many are bad, and bursts of every size', () => {
  const bursts = only('burst').map(({ burst }) => burst);
  expect(bursts.some(({ records, badEvery }) => records >= 5_000 && badEvery === 0)).toBe(true);
  expect(bursts.some(({ badEvery }) => badEvery > 0 && badEvery < 20)).toBe(true);
  expect(bursts.some(({ bytesMax }) => bytesMax > 900_000)).toBe(true);
});

it('has every partition expire, and be read again with and without new rows', () => {
  const all = new Set([0, 1, 2, 3, 4, 5]);
  expect(new Set(only('records expired').map(({ partition }) => partition))).toEqual(all);
  const rewinds = only('rewound');
  expect(new Set(rewinds.map(({ partition }) => partition))).toEqual(all);
  expect(new Set(rewinds.map(({ again }) => again))).toEqual(new Set([true, false]));
});

it('changes a table only when no other fault does', () => {
  expect(overlap({ kind: 'table made anew' }, { kind: 'view failing', rows: 'all' })).toBe(true);
  expect(overlap({ kind: 'table made anew' }, { kind: 'table away' })).toBe(true);
});

it('has views refuse all rows, and some', () => {
  expect(new Set(only('view failing').map(({ rows }) => rows))).toEqual(new Set(['all', 'some']));
});

it('gives a daemon less memory than it has as a rule', () => {
  for (const { heapMiB } of only('memory tight')) expect(heapMiB).toBeLessThan(100);
});

it('resets batchers to their last task, and to their first one', () => {
  expect(new Set(only('batcher reset').map(({ to }) => to))).toEqual(new Set(['last', 'first']));
});

it.each(['short histories', 'workers away'] as const)('%s: records come meanwhile', (kind) => {
  for (const { burst } of only(kind)) expect(burst.records).toBeGreaterThan(1_000);
});

it('gives the group time to find the partitions that are added', () => {
  const drawn = drawPlan(new Random(10), SETTING, HOUR_MS, ['partitions added']);
  for (const { lastsMs } of drawn) expect(lastsMs).toBeGreaterThan(60_000);
});

it('starts no daemon while a fault has stopped all of them', () => {
  const lost = { kind: 'offsets lost' } as const;
  expect(overlap(lost, { kind: 'daemon killed', daemon: 1 })).toBe(true);
  expect(overlap({ kind: 'members come and go', rounds: 1 }, lost)).toBe(true);
  expect(overlap(lost, { kind: 'link reset', daemon: 1, part: 'kafka', delayMs: 0 })).toBe(false);
  expect(overlap({ kind: 'daemon killed', daemon: 0 }, { kind: 'daemon killed', daemon: 1 })).toBe(false);
  expect(overlap({ kind: 'disk full', full: 'temporal' }, { kind: 'part killed', part: 'temporal', index: 0 })).toBe(
    true,
  );
});

it('keeps Temporal there while signals pile up', () => {
  const piledUp = { kind: 'signals piled up' } as const;
  expect(overlap(piledUp, { kind: 'part killed', part: 'temporal', index: 0 })).toBe(true);
  expect(overlap({ kind: 'daemon killed', daemon: 1 }, piledUp)).toBe(true);
});

it('alters nothing while the disk of ClickHouse is full', () => {
  expect(overlap({ kind: 'disk full', full: 'clickhouse' }, { kind: 'view failing', rows: 'all' })).toBe(true);
  expect(overlap({ kind: 'disk full', full: 'temporal' }, { kind: 'table altered' })).toBe(false);
});

it('keeps an election away from other brokers that are away, and from what stops daemons', () => {
  const election = { kind: 'unclean election', partition: 1, regrows: true, uncommitted: false } as const;
  expect(overlap(election, { kind: 'part killed', part: 'kafka', index: 0 })).toBe(true);
  expect(overlap({ kind: 'rewound', partition: 1, again: true }, election)).toBe(true);
  expect(overlap(election, { kind: 'part killed', part: 'temporal', index: 0 })).toBe(false);
});

it('makes the topic again that is there for it only when no other fault does', () => {
  const whileRead = { kind: 'topic made again while read', records: 1 } as const;
  expect(overlap(whileRead, { kind: 'topic made again', records: 1 })).toBe(true);
  expect(overlap(whileRead, { kind: 'daemon killed', daemon: 1 })).toBe(false);
});

it('freezes daemons for less and for more than the session timeout', () => {
  const frozen = plan(4).filter(({ fault }) => fault.kind === 'daemon frozen');
  expect(frozen.some(({ lastsMs }) => lastsMs < SETTING.sessionMs)).toBe(true);
  expect(frozen.some(({ lastsMs }) => lastsMs > SETTING.sessionMs && lastsMs < 15_000)).toBe(true);
});

it('freezes daemons for longer than anything waits for them', () => {
  const longest = [BATCHER.workflowTaskTimeoutMs, 30_000, 45_000];
  expect(
    Math.max(...plan(4).map(({ fault, lastsMs }) => (fault.kind === 'daemon frozen' ? lastsMs : 0))),
  ).toBeGreaterThan(Math.max(...longest));
});

it('has batchers to be started when the answers to starts are dropped, and only then', () => {
  const dropped = only('answers dropped');
  const starts = dropped.filter(({ asked }) => asked === 'start');
  expect(starts.length).toBeGreaterThan(5);
  for (const { closes, count } of starts) expect(closes).toBe(Math.min(count, SETTING.batchers));
  expect(dropped.filter(({ asked, closes }) => asked !== 'start' && closes > 0)).toEqual([]);
});

it('never takes two brokers away at once', () => {
  const brokers = plan(5).filter(
    ({ fault }) => fault.kind.startsWith('part') && 'part' in fault && fault.part === 'kafka',
  );
  expect(brokers.length).toBeGreaterThan(10);
  for (const [index, { atMs }] of brokers.entries()) {
    const before = brokers[index - 1];
    if (before !== undefined) expect(atMs).toBeGreaterThanOrEqual(before.atMs + before.lastsMs);
  }
});

it('lets faults overlap', () => {
  const drawn = plan(6);
  expect(drawn.some(({ atMs, lastsMs }, index) => atMs + lastsMs > (drawn[index + 1]?.atMs ?? Infinity))).toBe(true);
});

it('says which daemon, part or batcher a fault is of', () => {
  expect(
    describeFault({
      atMs: 0,
      lastsMs: 2_000,
      fault: { kind: 'answers dropped', daemon: 0, part: 'kafka', asked: 'commit', count: 2, closes: 0 },
    }),
  ).toBe('answers dropped: daemon 1 from kafka, 2 of commit, 2.0 s');
});

it('asks a daemon only for what its role asks', () => {
  const setting: Setting = { ...SETTING, daemons: 3, roles: ['consumer', 'worker', 'both'] };
  const drawn = drawPlan(new Random(7), setting, 4 * HOUR_MS, ['answers dropped', 'link reset', 'link half-open']);
  const askedBy = (daemon: number): Set<string> =>
    new Set(
      drawn.flatMap(({ fault }) => ('asked' in fault && fault.daemon === daemon ? `${fault.part} ${fault.asked}` : [])),
    );
  const [consumer, worker, both] = [askedBy(0), askedBy(1), askedBy(2)];
  expect(Array.from(consumer).filter((asked) => /clickhouse|produce|poll/.test(asked))).toEqual([]);
  expect(Array.from(worker).filter((asked) => /fetch|commit|joinGroup|signal/.test(asked))).toEqual([]);
  expect(both.has('clickhouse insert') && both.has('temporal signal') && both.has('temporal poll')).toBe(true);
  const linked = drawn.filter(({ fault }) => 'delayMs' in fault && fault.daemon === 0 && fault.part === 'clickhouse');
  expect(linked).toEqual([]);
});

it('draws a thousand faults in forty minutes if they follow fast enough', () => {
  expect(drawPlan(new Random(8), { ...SETTING, gapMs: 1_700 }, 2_400_000).length).toBeGreaterThan(1_000);
});
