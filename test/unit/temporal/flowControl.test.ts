import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FlowControl, flowControlLimits, type HistorySize } from '../../../src/temporal/flowControl.js';

const MIB = 1024 * 1024;
/** What a run may begin with. */
const CARRIED_BYTES = 2 * MIB;
const limits = flowControlLimits({ historyBytesMax: 8 * MIB, checkEveryBytes: MIB / 2 });
const mark = (overrides: Partial<HistorySize> = {}): HistorySize => ({
  runId: 'r1',
  bytes: 0,
  events: 10,
  ...overrides,
});

it('looks before the first signal', () => {
  expect(new FlowControl(limits).state).toBe('unknown');
});

it('sends to a batcher that does not exist yet', () => {
  const flow = new FlowControl(limits);
  flow.observe(null);
  expect(flow.state).toBe('open');
});

it('looks again after so many bytes, so many signals, a new run, and a refusal', () => {
  const after = (act: (flow: FlowControl) => void) => {
    const flow = new FlowControl(limits);
    flow.observe(mark());
    act(flow);
    return flow.state;
  };
  expect(after((flow) => flow.sent('r1', MIB / 2 - 1))).toBe('open');
  expect(after((flow) => flow.sent('r1', MIB / 2))).toBe('unknown');
  expect(after((flow) => flow.sent('r2', 1))).toBe('unknown');
  expect(after((flow) => flow.refused())).toBe('unknown');
  expect(
    after((flow) => {
      for (let signal = 0; signal < 200; signal++) flow.sent('r1', 1);
    }),
  ).toBe('unknown');
});

it('counts a signal whose fate is unknown as sent', () => {
  const flow = new FlowControl(limits);
  flow.observe(mark());
  flow.sent(null, MIB);
  expect(flow.state).toBe('unknown');
});

it('stops at the high mark, goes on below the low one, or with a new run', () => {
  const flow = new FlowControl(limits);
  flow.observe(mark({ bytes: 10 * MIB }));
  expect(flow.state).toBe('stopped');
  flow.observe(mark({ bytes: 7 * MIB }));
  expect(flow.state).toBe('stopped');
  flow.observe(mark({ bytes: 6 * MIB - 1 }));
  expect(flow.state).toBe('open');
  flow.observe(mark({ events: 8_000 }));
  expect(flow.state).toBe('stopped');
  flow.observe(mark({ runId: 'r2', bytes: 7 * MIB, events: 7_000 }));
  expect(flow.state).toBe('open');
});

/** Any configuration that is accepted. */
const anyFlow = fc.record({
  historyBytesMax: fc.integer({ min: MIB, max: 16 * MIB }),
  checkEveryBytes: fc.integer({ min: MIB / 16, max: 4 * MIB }),
});

describe.each([1, 8, 64, 256])('%i members', (members) => {
  it('that all send blindly to one batcher as much as they may stay below 20 MiB and 10,000 signals', () => {
    fc.assert(
      fc.property(anyFlow, (flow) => {
        const { highBytes, lowBytes, highEvents, lowEvents, ...limits } = flowControlLimits(flow, members);
        const { checkEveryBytes, checkEverySignals, signalBytesMax, closeSignalBytesMax } = limits;
        const sentBytes = highBytes - CARRIED_BYTES + members * (checkEveryBytes + signalBytesMax);
        expect(sentBytes).toBeLessThanOrEqual(20 * MIB);
        // While a worker has a workflow task, two signals of each member.
        expect(members * 2 * closeSignalBytesMax).toBeLessThanOrEqual(Math.max(2 * MIB, members * 2 * 8 * 1024));
        expect(closeSignalBytesMax).toBeLessThanOrEqual(signalBytesMax);
        // Whatever a run begins with, and however small maxHistory is.
        expect(lowBytes).toBeGreaterThan(CARRIED_BYTES);
        expect(highEvents + members * checkEverySignals).toBeLessThan(10_000);
        expect(Math.min(checkEveryBytes, signalBytesMax, checkEverySignals)).toBeGreaterThan(0);
        expect([lowBytes < highBytes, lowEvents < highEvents]).toEqual([true, true]);
      }),
    );
  });

  it('keep a run’s history under 42 MiB, each byte sent counted twice, with no flush at all, in whatever turns they send', () => {
    const turns = fc.array(fc.nat(members - 1), { maxLength: 600 });
    fc.assert(
      fc.property(anyFlow, turns, fc.boolean(), (flow, chosen, small) => {
        const memberLimits = flowControlLimits(flow, members);
        const consumers = Array.from({ length: members }, () => new FlowControl(memberLimits));
        const signalBytes = small ? 1 : memberLimits.signalBytesMax;
        // Just below both marks all of them look, which is the worst that can be.
        const run = { bytes: memberLimits.highBytes - 1, events: memberLimits.highEvents - 1 };
        for (const consumer of consumers) consumer.observe(mark(run));
        const takeTurn = (consumer: FlowControl): boolean => {
          if (consumer.state !== 'open') consumer.observe(mark(run));
          if (consumer.state !== 'open') return false;
          consumer.sent('r1', signalBytes);
          run.bytes += signalBytes;
          run.events++;
          return true;
        };
        for (const index of chosen) takeTurn(consumers[index] as FlowControl);
        while (consumers.filter(takeTurn).length > 0);
        expect((run.bytes - CARRIED_BYTES) * 2).toBeLessThan(40 * MIB);
        expect(run.events).toBeLessThan(10_000);
      }),
      { numRuns: 50 },
    );
  });
});
