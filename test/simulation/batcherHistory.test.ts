import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BatcherInput } from '../../src/protocol/batcher.js';
import type { RowRequest } from '../../src/protocol/request.js';
import { CONFIRMATION_FORMAT, REQUEST_FORMAT, requestSource } from '../../src/protocol/request.js';
import { BatcherState } from '../../src/workflows/batcherState.js';
import { LIMITS } from '../../src/workflows/limits.js';
import { chunk, input, settings } from '../support/chunks.js';

// What a batcher's runs add to their histories, and hand on, whatever arrives: Temporal's limits are never reached.
const MIB = 1024 * 1024;
/** `limit.historySize.error`, `limit.historyCount.error`. */
const HISTORY_BYTES_MAX = 50 * MIB;
const HISTORY_EVENTS_MAX = 51_200;
const NO_BODIES = new Uint8Array(0);
const WORKFLOW_ID = 'ktb:orders:8-key:0';

const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

/** A run and its history, as large as Temporal counts it. */
class Run {
  readonly state: BatcherState;
  bytes: number;
  events = 3;

  readonly runId: string;

  constructor(runId: string, given: BatcherInput, bodies: Uint8Array) {
    this.runId = runId;
    this.bytes = bytesOf(given) + bodies.length;
    this.state = new BatcherState(
      { workflowId: WORKFLOW_ID, runId, ...(given.carried ? { continuedFromExecutionRunId: `before ${runId}` } : {}) },
      JSON.parse(JSON.stringify(given)) as BatcherInput,
      bodies,
    );
  }

  add(bytes: number, events: number): void {
    this.bytes += bytes;
    this.events += events;
    if (this.bytes >= HISTORY_BYTES_MAX) throw new Error(`a history of ${this.bytes} bytes`);
    if (this.events >= HISTORY_EVENTS_MAX) throw new Error(`a history of ${this.events} events`);
  }

  get view() {
    return { continueAsNewSuggested: this.bytes >= 4 * MIB, length: this.events, bytes: this.bytes };
  }
}

describe('a backlog as large as senders may ever make it, of which any part is rejected', () => {
  // How a backlog is divided into chunks, and the part of each batch that is rejected.
  const shapes = fc.record({
    chunkBytes: fc.constantFrom(2_000, 20_000, 200_000, 1_200_000),
    maxRecords: fc.constantFrom(1, 10, 1_000),
    rejected: fc.constantFrom(0, 0.3, 1),
    carried: fc.constantFrom(0, 1_900_000),
    paused: fc.boolean(),
  });

  it('is flushed in its order, once, by runs none of which comes to Temporal’s limits', () => {
    fc.assert(
      fc.property(shapes, ({ chunkBytes, maxRecords, rejected, carried, paused }) => {
        const runs = new Map<string, Run>();
        let run = new Run('r0', input({ maxRecords }), NO_BODIES);
        run.add(carried, 0);
        runs.set('r0', run);
        const accepted: number[] = [];
        const body = new Uint8Array(chunkBytes - 400);
        for (let sent = 0, signals = 0; sent < 20 * MIB && signals < 9_500; sent += chunkBytes, signals++) {
          run.state.accept(chunk({ from: signals - 1, to: signals }), body, 0);
          accepted.push(signals);
          run.add(chunkBytes, 1);
        }
        if (paused) run.state.control('pause', { actor: 'test', reason: '' }, 0);
        /** Chunks of a run that are not in any of its own batches. */
        const leftOf = (runId: string) => runs.get(runId)!.state.buffered;
        const flushed: number[] = [];
        const flush = (offsets: readonly number[], encodedBytes: number) => {
          flushed.push(...offsets);
          run.add(encodedBytes + (rejected > 0 ? 2 * Math.ceil(encodedBytes * rejected) : 0), rejected > 0 ? 12 : 6);
          const count = Math.ceil(offsets.length * rejected);
          return { inserted: offsets.length - count, rejected: count, skipped: 0 };
        };
        for (let decisions = 0; decisions < 100_000; decisions++) {
          const decision = run.state.decide(1e6, run.view);
          if (decision.type === 'wait') {
            if (!run.state.status(run.view).paused) break;
            run.state.control('resume', { actor: 'test', reason: '' }, 0);
          } else if (decision.type === 'flush') {
            const { spec, bodies } = run.state.takeBatch(decision.reason, 1e6);
            const offsets = spec.chunks.map(({ segments }) => segments[0]!.to);
            run.state.finishFlush(flush(offsets, bytesOf(spec) + bodies.length), spec.id, 1e6);
          } else if (decision.type === 'flushInherited') {
            const { runId, chunksDone, chunks } = run.state.takeInherited(1e6);
            const offsets = leftOf(runId)
              .slice(chunksDone, chunksDone + chunks)
              .map(({ chunk: { segments } }) => segments[0]!.to);
            // The batch itself does not pass through this run's history, its rejections do.
            const outcome = flush(offsets, rejected > 0 ? 2 * chunks * chunkBytes * rejected : 1_000);
            run.state.finishInherited({ ...outcome, id: 'any' }, 1e6);
          } else if (decision.type === 'continueAsNew') {
            const { input: next, bodies } = run.state.carryOver(1e6);
            run = new Run(`r${runs.size}`, next, bodies);
            runs.set(run.runId, run);
          } else throw new Error(`it decides to ${decision.type}`);
        }
        expect(flushed).toEqual(accepted);
      }),
      { numRuns: 25 },
    );
  }, 60_000);
});

it('a mark below what the runs hand on makes no storm: all continuations copy at most four times what arrives, and with the default mark no more than that, if chunks are not tiny', () => {
  const marks = fc.record({
    historyBytes: fc.constantFrom(1_000, 512 * 1024, 4 * MIB),
    historyEvents: fc.constantFrom(512, 4_096),
  });
  const tiny = { signals: 2_500, bytes: 1_000 };
  const loads = fc.constantFrom({ signals: 300, bytes: 10_000 }, tiny);
  fc.assert(
    fc.property(
      marks,
      loads,
      fc.constantFrom(0, 100, 8_000),
      fc.boolean(),
      (continueAsNewAt, load, partitions, suggests) => {
        let run = new Run('r0', { ...input(), settings: { ...settings(), continueAsNewAt } }, NO_BODIES);
        for (let partition = 0; partition < partitions; partition++)
          run.state.close({ topic: 'orders of many tenants', partition, epoch: 'an epoch', offset: 1 });
        run.add(partitions * 200, partitions);
        let [arrived, copied] = [run.bytes, 0];
        for (let signal = 0; signal < load.signals; signal++) {
          // Of a partition that is known: what is carried does not grow.
          run.state.accept(chunk({ from: -1, to: 1 }), new Uint8Array(load.bytes * 0.9), 0);
          run.add(load.bytes, 5);
          arrived += load.bytes;
          if (run.state.buffered.length > 0) {
            const { spec } = run.state.takeBatch('delay', 0);
            run.state.finishFlush({ inserted: 2, rejected: 0, skipped: 0 }, spec.id, 0);
          }
          const view = { ...run.view, continueAsNewSuggested: suggests };
          if (run.state.decide(0, view).type !== 'continueAsNew') continue;
          const { input: next, bodies } = run.state.carryOver(0);
          run = new Run(`r${signal}`, next, bodies);
          copied += run.bytes;
          // The next run does not continue by itself.
          expect(run.state.decide(0, { ...run.view, continueAsNewSuggested: suggests })).toEqual({ type: 'wait' });
        }
        const isDefault = continueAsNewAt.historyBytes === 4 * MIB && load.bytes >= 10_000;
        expect(copied).toBeLessThanOrEqual(arrived * (isDefault ? 1 : 4));
      },
    ),
    { numRuns: 24, examples: [[{ historyBytes: 4 * MIB, historyEvents: 512 }, tiny, 8_000, false]] },
  );
}, 60_000);

describe('what a run hands on', () => {
  // Letters that JSON or UTF-8 make longer, beside plain ones.
  const letter = fc.constantFrom('a', '"', '\\', '\u0000', '€', '\ud83d');
  const text = (lengthMax: number) =>
    fc.tuple(letter, fc.integer({ min: 1, max: lengthMax })).map(([one, length]) => one.repeat(length));
  const arrivals = fc.array(
    fc.oneof(
      fc.record({
        type: fc.constant('chunk' as const),
        bodyBytes: fc.nat(200_000),
        times: fc.integer({ min: 1, max: 20 }),
      }),
      fc.record({
        type: fc.constant('partitions' as const),
        topic: text(249),
        times: fc.constantFrom(10, 1_000, 5_000),
      }),
      fc.record({
        type: fc.constant('requests' as const),
        requester: text(1_000),
        times: fc.constantFrom(1, 100, 10_500),
        alternate: fc.boolean(),
      }),
      fc.record({ type: fc.constant('confirmations' as const), requester: text(1_000), message: text(4_000) }),
      fc.record({ type: fc.constant('strangers' as const), name: text(400), value: text(70_000), times: fc.nat(600) }),
      fc.record({ type: fc.constant('controls' as const), reason: text(2_000), times: fc.nat(30) }),
      fc.record({ type: fc.constant('settings' as const), columns: fc.nat(1_000) }),
    ),
    { maxLength: 8 },
  );

  function arrive(
    state: BatcherState,
    arrival: typeof arrivals extends fc.Arbitrary<(infer One)[]> ? One : never,
    at: number,
  ) {
    switch (arrival.type) {
      case 'chunk':
        for (let n = 0; n < arrival.times; n++) {
          const from = at * 1_000 + n;
          state.accept(chunk({ from, to: from + 1 }), new Uint8Array(arrival.bodyBytes), at);
        }
        return;
      case 'partitions':
        for (let partition = 0; partition < arrival.times; partition++)
          state.close({ topic: arrival.topic, partition, epoch: `e${at}`, offset: 1_000_000 });
        return;
      case 'requests': {
        const first = state.status({ continueAsNewSuggested: false, length: 0, bytes: 0 }).rememberedRequests;
        for (let n = 0; n < arrival.times; n++) {
          const request: RowRequest = {
            format: REQUEST_FORMAT,
            id: `${at}-${n}`,
            requester: arrival.requester,
            value: '',
          };
          state.submit(request, n * (arrival.alternate ? 60_000 : 1));
        }
        if (first > 0) return;
        // Flushed at once, so that the buffer does not keep the rest from being carried.
        while (state.buffered.length > 0) {
          const { spec } = state.takeBatch('delay', at);
          const offsets = spec.chunks.map(({ segments }) => segments[0]!.to);
          const requests = offsets.map(
            (offset) => [offset, offset % 2 === 0 ? 'inserted' : 'refused_by_clickhouse'] as const,
          );
          state.finishFlush({ inserted: offsets.length, rejected: 0, skipped: 0, requests }, spec.id, at);
        }
        return;
      }
      case 'confirmations': {
        const place = {
          ...requestSource(WORKFLOW_ID, 'e'),
          offset: 1,
          batch: null,
          id: arrival.requester.slice(0, 255),
        };
        const confirmation = {
          format: CONFIRMATION_FORMAT,
          status: 'rejected',
          message: arrival.message,
          ...place,
        } as const;
        state.postponeConfirmations(
          Array.from({ length: 100 }, () => ({ requester: arrival.requester, confirmation, attempts: 1 })),
          at,
        );
        return;
      }
      case 'strangers':
        for (let n = 0; n < arrival.times; n++) state.keepForeignSignal(arrival.name, [arrival.value], at);
        return;
      case 'controls':
        for (let n = 0; n < arrival.times; n++)
          state.control('resume', { actor: arrival.reason.slice(0, 500), reason: arrival.reason.slice(0, 500) }, at);
        return;
      case 'settings': {
        const columns = Object.fromEntries(Array.from({ length: arrival.columns }, (_, n) => [`column_${n}`, 'field']));
        const { destination, ...rest } = settings();
        state.accept({ ...chunk(), settings: { ...rest, destination: { ...destination, columns } } }, NO_BODIES, at);
      }
    }
  }

  it('fits into one payload, for the next run as for an heir, whatever arrives', () => {
    fc.assert(
      fc.property(arrivals, (list) => {
        const state = new BatcherState({ workflowId: WORKFLOW_ID, runId: 'r1' }, input(), NO_BODIES);
        list.forEach((arrival, at) => arrive(state, arrival, at));
        const { input: next, bodies } = state.carryOver(1_000);
        expect(bytesOf(next) + bodies.length).toBeLessThan(LIMITS.inputBytes);
        expect(bytesOf(state.handOn(null))).toBeLessThan(LIMITS.inputBytes);
        // What no record may be lost for is never left out.
        const chunks =
          next.carried!.chunks.length +
          next.carried!.estates.flatMap(({ batches }) => batches).reduce((a, b) => a + b, 0);
        expect(chunks).toBe(state.buffered.length);
      }),
      { numRuns: 6 },
    );
  }, 60_000);

  it('leaves out what is least needed first: values of strangers’ signals before anything else', () => {
    const state = new BatcherState({ workflowId: WORKFLOW_ID, runId: 'r1' }, input(), NO_BODIES);
    for (let n = 0; n < 2; n++) state.keepForeignSignal('hello', ['€'.repeat(60_000)], 0);
    expect(state.carryOver(0).input.carried!.foreignSignals!.map(({ value }) => value !== null)).toEqual([true, true]);
    for (let partition = 0; partition < 20_000; partition++)
      state.close({ topic: 'orders'.repeat(5), partition, epoch: 'e', offset: 1 });
    for (let n = 0; n < 20; n++) state.control('resume', { actor: '€'.repeat(500), reason: '€'.repeat(500) }, 0);
    state.accept(chunk({ from: 0, to: 1 }), new Uint8Array(LIMITS.carriedBytes - 2_000), 0);
    const { coverage, foreignSignals } = state.carryOver(0).input.carried!;
    expect(bytesOf(coverage)).toBeGreaterThan(990_000);
    expect(foreignSignals!.filter(({ value }) => value === null).length).toBeGreaterThan(0);
  });
});
