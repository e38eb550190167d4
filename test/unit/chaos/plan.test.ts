import { expect, it } from 'vitest';
import { describeFault, drawPlan, FAULT_KINDS } from '../../../chaos/plan.js';
import { Random } from '../../../chaos/random.js';

const SETTING = { daemons: 2, brokers: 3, batchers: 4, sessionMs: 6_000 };
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

it('freezes daemons for less and for more than the session timeout', () => {
  const frozen = plan(4).filter(({ fault }) => fault.kind === 'daemon frozen');
  expect(frozen.some(({ lastsMs }) => lastsMs < SETTING.sessionMs)).toBe(true);
  expect(frozen.some(({ lastsMs }) => lastsMs > SETTING.sessionMs)).toBe(true);
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
      fault: { kind: 'answers dropped', daemon: 0, part: 'kafka', asked: 'commit', count: 2 },
    }),
  ).toBe('answers dropped: daemon 1 from kafka, 2 of commit, 2.0 s');
});
