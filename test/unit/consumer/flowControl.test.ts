import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FlowControl, flowControlLimits, type HistoryMark } from '../../../src/consumer/flowControl.js';

const MIB = 1024 * 1024;
const limits = flowControlLimits({ historyBytesMax: 8 * MIB, checkEveryBytes: MIB / 2 });
const mark = (overrides: Partial<HistoryMark> = {}): HistoryMark => ({
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
  flow.observe(mark({ bytes: 8 * MIB }));
  expect(flow.state).toBe('stopped');
  flow.observe(mark({ bytes: 5 * MIB }));
  expect(flow.state).toBe('stopped');
  flow.observe(mark({ bytes: 4 * MIB - 1 }));
  expect(flow.state).toBe('open');
  flow.observe(mark({ events: 8_000 }));
  expect(flow.state).toBe('stopped');
  flow.observe(mark({ runId: 'r2', bytes: 5 * MIB, events: 7_000 }));
  expect(flow.state).toBe('open');
});

it('keeps a run’s history under 40 MiB, each byte counted twice, with up to eight consumers and no flush at all', () => {
  const chunkBytesMax = MIB / 2;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(7), fc.integer({ min: 1, max: chunkBytesMax })), { minLength: 200, maxLength: 400 }),
      (sends) => {
        const consumers = Array.from({ length: 8 }, () => new FlowControl(limits));
        let historyBytes = 0;
        for (const [index, bytes] of sends) {
          const flow = consumers[index]!;
          if (flow.state !== 'open') flow.observe(mark({ bytes: historyBytes }));
          if (flow.state !== 'open') continue;
          flow.sent('r1', bytes);
          historyBytes += bytes;
        }
        expect(historyBytes * 2).toBeLessThan(40 * MIB);
      },
    ),
  );
});
