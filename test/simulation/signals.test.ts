import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BATCHER } from '../../src/protocol/batcher.js';
import { CHUNK_FORMAT } from '../../src/protocol/chunk.js';
import { REQUEST_FORMAT } from '../../src/protocol/request.js';
import { BatcherState } from '../../src/workflows/batcherState.js';
import type { HistoryView } from '../../src/workflows/continuation.js';
import { applySignal } from '../../src/workflows/signals.js';
import { input } from '../support/chunks.js';
import { FUZZ_TIMEOUT_MS, fuzz } from './cases.js';

const QUIET: HistoryView = { continueAsNewSuggested: false, length: 10, bytes: 1_000 };
const RUN = { workflowId: 'ktb:orders:8-key:0', runId: 'r1' };

const anything = fc.oneof(fc.anything({ withNullPrototype: false }), fc.jsonValue(), fc.uint8Array());
/** Something like our own, with a part of it replaced. */
const nearly = (whole: Readonly<Record<string, unknown>>) =>
  fc.tuple(fc.constantFrom(...Object.keys(whole)), anything).map(([key, part]) => ({ ...whole, [key]: part }));
const argument = fc.oneof(
  anything,
  nearly({ format: REQUEST_FORMAT, id: 'a', requester: 'w', value: '{}', key: 'k', headers: { a: 'b' } }),
  nearly({ topic: 'orders', partition: 0, epoch: 'e1', offset: 5 }),
  nearly({ actor: 'a', reason: 'r' }),
);
const signal = fc.record({
  name: fc.oneof(
    fc.constantFrom(...Object.values(BATCHER.signals)),
    fc.string(),
    fc.constantFrom('__proto__', 'toString'),
  ),
  args: fc.array(argument, { maxLength: 3 }),
});

it(
  'no stranger’s signal ends a batcher or keeps it from its work: it counts it, and its state goes on through JSON',
  async () => {
    await fuzz(fc.array(signal, { maxLength: 20 }), (signals) => {
      let state = new BatcherState(RUN, input({ maxRecords: 5 }), new Uint8Array(0));
      let submitted = 0;
      for (const { name, args } of signals) {
        // What carries our format is a chunk of ours that no worker understands yet: the task fails, and nothing is lost.
        const [first] = args as [{ format?: unknown } | undefined];
        if (name === 'records' && String(first?.format).startsWith('ktb-chunk/')) continue;
        const before = state.status(QUIET);
        applySignal(state, name, args, 1_000);
        const after = state.status(QUIET);
        const isNew = after.rememberedRequests > before.rememberedRequests;
        submitted += isNew ? 1 : 0;
        expect(after.bufferedRecords - before.bufferedRecords).toBe(isNew ? 1 : 0);
      }
      applySignal(state, 'resume', [], 1_000);
      while (state.report().records > 0) {
        const { spec } = state.takeBatch('delay', 2_000);
        const records = spec.chunks.reduce((sum, chunk) => sum + chunk.records, 0);
        submitted -= records;
        state.finishFlush({ inserted: records, rejected: 0, skipped: 0 }, spec.id, 3_000);
      }
      expect(submitted).toBe(0);
      const { input: carried, bodies } = state.carryOver(4_000);
      state = new BatcherState(
        { ...RUN, continuedFromExecutionRunId: 'before' },
        JSON.parse(JSON.stringify(carried)) as typeof carried,
        bodies,
      );
      expect(state.carryOver(4_000).input.carried).toEqual({
        ...carried.carried,
        idleContinuations: 1,
        counters: { ...carried.carried!.counters, continuations: 2 },
      });
    });
  },
  FUZZ_TIMEOUT_MS,
);

it(
  'a chunk that is ours and cannot be understood fails the task, and is never dropped',
  async () => {
    const broken = fc.record({
      format: fc.oneof(
        fc.constant(CHUNK_FORMAT),
        fc.nat().map((version) => `ktb-chunk/${version + 2}`),
      ),
      crc32: fc.integer({ min: 1 }),
    });
    await fuzz(broken, (meta) => {
      const state = new BatcherState(RUN, input(), new Uint8Array(0));
      expect(() =>
        applySignal(state, 'records', [{ ...meta, records: 0, bytes: 0, segments: [] }, new Uint8Array(0)], 0),
      ).toThrow(/chunk/);
      expect(state.status(QUIET).counters.foreignSignals).toBe(0);
    });
  },
  FUZZ_TIMEOUT_MS,
);
