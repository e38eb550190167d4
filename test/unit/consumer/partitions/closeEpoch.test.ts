import fc from 'fast-check';
import { expect, it } from 'vitest';
import { closeEpoch, unflushedBatchers, type ClosableBatcher } from '../../../../src/consumer/partitions/closeEpoch.js';
import { BatcherState } from '../../../../src/workflows/batcherState.js';
import { chunk, input } from '../../../support/chunks.js';

const SOURCE = { topic: 'orders', partition: 0, epoch: 'e1' };
const RUN = { workflowId: 'w', runId: 'r' };

/** Batchers with their real state; `late` may come between any two steps. */
function batchers(states: readonly BatcherState[], late: () => void = () => undefined): ClosableBatcher[] {
  return states.map((state) => ({
    epochStatus: (source) => {
      late();
      return Promise.resolve(state.epochStatus(source)!);
    },
    close: (request) => {
      late();
      state.close(request);
      return Promise.resolve();
    },
  }));
}

const fresh = () => new BatcherState(RUN, input(), new Uint8Array(0));
const coveredTo = (state: BatcherState) => state.epochStatus(SOURCE)!.coveredTo;

it('closes behind the highest offset that any batcher has, and nothing beyond it is accepted any more', async () => {
  const [one, two] = [fresh(), fresh()];
  one.accept(chunk({ from: -1, to: 9 }), new Uint8Array(1), 0);
  two.accept(chunk({ from: -1, to: 4 }), new Uint8Array(1), 0);
  expect(await closeEpoch(SOURCE, 3, batchers([one, two]))).toBe(10);
  two.accept(chunk({ from: 4, to: 14 }), new Uint8Array(1), 0);
  one.accept(chunk({ from: 9, to: 14 }), new Uint8Array(1), 0);
  expect([coveredTo(one), coveredTo(two)]).toEqual([9, 9]);
  // The other epoch of the same partition is open.
  one.accept(chunk({ epoch: 'e2', from: 9, to: 14 }), new Uint8Array(1), 0);
  expect(one.epochStatus({ ...SOURCE, epoch: 'e2' })!.coveredTo).toBe(14);
});

it('whatever a member that wakes up late sends in between: the end is above all accepted, for good, and stays the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ batcher: fc.nat(2), to: fc.nat(30) }), { maxLength: 20 }),
      fc.nat(10),
      fc.integer({ min: 0, max: 12 }),
      async (sends, from, crashAfter) => {
        const states = [fresh(), fresh(), fresh()];
        const late = () => {
          const next = sends.shift();
          if (next !== undefined) states[next.batcher]!.accept(chunk({ from: -1, to: next.to }), new Uint8Array(1), 0);
        };
        // The first attempt may die on any line; the next owner begins anew.
        let steps = 0;
        const dying = batchers(states, () => {
          if (++steps > crashAfter) throw new Error('killed');
          late();
        });
        await closeEpoch(SOURCE, from, dying).catch(() => undefined);
        const end = await closeEpoch(SOURCE, from, batchers(states, late));
        while (sends.length > 0) late();
        for (const state of states) expect(coveredTo(state) ?? -1).toBeLessThan(end);
        expect(end).toBeGreaterThanOrEqual(from);
        expect(await closeEpoch(SOURCE, from, batchers(states))).toBe(end);
      },
    ),
  );
});

it('ends with an error if a batcher refuses to close, and does not ask it for ever', async () => {
  const state = fresh();
  let asked = 0;
  const refusing: ClosableBatcher = {
    epochStatus: (source) => Promise.resolve(state.epochStatus(source)!),
    close: () => (++asked > 10 ? Promise.reject(new Error('asked for ever')) : Promise.resolve()),
  };
  await expect(closeEpoch(SOURCE, 3, [...batchers([fresh()]), refusing])).rejects.toThrow('does not close its epoch');
  expect(asked).toBe(1);
});

it('is flushed when nothing of the partition is buffered or on its way, whatever there is of others', async () => {
  const state = fresh();
  state.accept(chunk({ from: -1, to: 9 }), new Uint8Array(1), 0);
  expect(await unflushedBatchers(SOURCE, batchers([state, fresh()]))).toHaveLength(1);
  const { spec } = state.takeBatch('delay', 0);
  expect(await unflushedBatchers(SOURCE, batchers([state]))).toHaveLength(1);
  state.accept(chunk({ partition: 1, from: -1, to: 9 }), new Uint8Array(1), 0);
  state.finishFlush({ inserted: 10, rejected: 0, skipped: 0 }, spec.id, 1);
  expect(await unflushedBatchers(SOURCE, batchers([state]))).toEqual([]);
  state.takeBatch('delay', 2);
  expect(await unflushedBatchers(SOURCE, batchers([state]))).toEqual([]);
});
