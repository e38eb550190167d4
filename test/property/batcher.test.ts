import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { BatcherInput, ControlAction } from '../../src/records/batcher.js';
import type { BatchSpec } from '../../src/records/flush.js';
import { BatcherState, LIMITS } from '../../src/workflows/batcherState.js';
import { chunk, input } from '../support/chunks.js';

const RUN = { workflowId: 'ktb:orders:8-key:0', runId: 'r1' };
const PARTITIONS = 3;

/**
 * Senders of one batcher: each goes through a partition's offsets in order, may repeat what it sent, and may start anew
 * at any offset at or below what is certain, as after a crash or a rebalance.
 */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      send: fc.nat(PARTITIONS - 1),
      length: fc.integer({ min: 1, max: 9 }),
      bodyBytes: fc.integer({ min: 1, max: 300_000 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ repeat: fc.nat(PARTITIONS - 1) }) },
  { weight: 2, arbitrary: fc.record({ restart: fc.nat(PARTITIONS - 1), back: fc.nat(12) }) },
  { weight: 4, arbitrary: fc.record({ advanceMs: fc.integer({ min: 0, max: 800 }) }) },
  { weight: 3, arbitrary: fc.constant({ finish: true as const }) },
  { weight: 1, arbitrary: fc.record({ control: fc.constantFrom<ControlAction>('pause', 'resume', 'flush') }) },
  { weight: 1, arbitrary: fc.constant({ suggest: true as const }) },
);

it('puts every accepted record into exactly one batch, whatever is repeated, restarted, paused and continued', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      let state = new BatcherState(RUN, input({ maxRecords: 20, maxBytes: 1e9, maxDelayMs: 1_000 }), new Uint8Array(0));
      let nowMs = 0;
      let suggested = false;
      const sent = Array.from({ length: PARTITIONS }, () => -1);
      const position = Array.from({ length: PARTITIONS }, () => -1);
      const lastChunk = new Map<number, [number, number]>();
      const flushed: string[] = [];
      const ids = new Map<string, string>();

      const finish = (spec: BatchSpec) => {
        for (const { segments, keep } of spec.chunks) {
          segments.forEach(({ partition, from, to }, index) => {
            for (const [low, high] of keep[index] ?? [[from, to]]) {
              for (let offset = low + 1; offset <= high; offset++) flushed.push(`${partition}/${offset}`);
            }
          });
        }
        state.finishFlush({ inserted: 0, rejected: 0, skipped: 0 }, spec.id, nowMs);
      };
      const flight: { spec: BatchSpec | null } = { spec: null };
      /** Carries decisions out until the state waits; true when that made a batch. */
      const follow = (): boolean => {
        for (let flushes = 0; ;) {
          const decision = state.decide(nowMs, { continueAsNewSuggested: suggested, length: 10, bytes: 10 });
          if (decision.type === 'flush') {
            const { spec, bodies } = state.takeBatch(decision.reason, nowMs);
            const identities = JSON.stringify(spec.chunks.map(({ segments, keep }) => [segments, keep]));
            expect(ids.get(spec.id) ?? identities).toBe(identities);
            ids.set(spec.id, identities);
            expect(bodies.length).toBe(spec.chunks.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0));
            expect(spec.chunks.length === 1 || bodies.length <= LIMITS.batchEncodedBytes).toBe(true);
            flight.spec = spec;
            flushes++;
          } else if (decision.type === 'continueAsNew') {
            suggested = false;
            const { input: next, bodies } = state.carryOver();
            expect(bodies.length).toBeLessThanOrEqual(LIMITS.carriedBytes);
            state = new BatcherState(RUN, JSON.parse(JSON.stringify(next)) as BatcherInput, bodies);
          } else return flushes > 0;
        }
      };
      const accept = (partition: number, from: number, to: number, bodyBytes: number) => {
        state.accept(chunk({ partition, from, to }), new Uint8Array(bodyBytes), nowMs);
        lastChunk.set(partition, [from, to]);
        sent[partition] = Math.max(sent[partition]!, to);
      };

      for (const current of steps) {
        if ('send' in current) {
          const from = position[current.send]!;
          position[current.send] = from + current.length;
          accept(current.send, from, from + current.length, current.bodyBytes);
        } else if ('repeat' in current) {
          const last = lastChunk.get(current.repeat);
          if (last !== undefined) accept(current.repeat, ...last, 10);
        } else if ('restart' in current) {
          position[current.restart] = Math.max(-1, sent[current.restart]! - current.back);
        } else if ('advanceMs' in current) nowMs += current.advanceMs;
        else if ('finish' in current) {
          if (flight.spec !== null) finish(flight.spec);
          flight.spec = null;
        } else if ('control' in current) state.control(current.control, { actor: '', reason: '' }, nowMs);
        else suggested = true;
        follow();
      }
      state.control('resume', { actor: '', reason: '' }, nowMs);
      state.control('flush', { actor: '', reason: '' }, nowMs);
      for (let rounds = 0; rounds < 1_000; rounds++) {
        if (flight.spec !== null) finish(flight.spec);
        flight.spec = null;
        if (!follow()) break;
      }

      const expected = sent.flatMap((to, partition) =>
        Array.from({ length: to + 1 }, (_, offset) => `${partition}/${offset}`),
      );
      expect(flushed.toSorted()).toEqual(expected.toSorted());
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const offsets = flushed.filter((name) => name.startsWith(`${partition}/`)).map((name) => Number(name.slice(2)));
        expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
      }
    }),
    { numRuns: 300 },
  );
});
