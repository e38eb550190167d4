import { expect, it } from 'vitest';
import type { NativeConnection } from '@temporalio/worker';
import { readPayloadLimit, withPayloadLimit } from '../../../src/temporal/namespaceLimit.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { LIMITS } from '../../../src/workflows/limits.js';
import { chunk, input, settings } from '../../support/chunks.js';

const MIB = 1024 * 1024;
const RUN = { workflowId: 'ktb:orders:8-key:0', runId: 'r1' };
const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

/** A server whose namespace says this of its limits. */
const server = (limits?: object) =>
  ({
    workflowService: { describeNamespace: () => Promise.resolve({ namespaceInfo: { limits } }) },
  }) as unknown as NativeConnection;

it('takes from the namespace how large a payload may be, and the default where it does not say', async () => {
  const read = (limits?: object) => readPayloadLimit(server(limits), { namespace: 'default' });
  expect(await Promise.all([read({ blobSizeLimitError: MIB }), read({ blobSizeLimitError: 0 }), read()])).toEqual([
    MIB,
    2 * MIB,
    2 * MIB,
  ]);
});

it('tells batchers of a limit below the default only', () => {
  const configured = settings();
  expect(withPayloadLimit(configured, 2 * MIB)).toBe(configured);
  expect(withPayloadLimit(configured, 4 * MIB)).toBe(configured);
  expect(withPayloadLimit(configured, MIB).batch.payloadBytesMax).toBe(MIB);
});

it.each([2 * MIB, MIB, MIB / 2])('under a limit of %i bytes no payload of a batcher is larger', (payloadBytesMax) => {
  const limits = { maxRecords: 1_000_000, maxBytes: 1_000_000_000, payloadBytesMax };
  const state = new BatcherState(RUN, input(limits), new Uint8Array(0));
  for (let partition = 0; partition < 12_000; partition++)
    state.close({ topic: 'orders of many tenants', partition, epoch: 'e', offset: 1 });
  const body = new Uint8Array(40_000);
  for (let from = 0; from < 200; from++) state.accept(chunk({ from, to: from + 1 }), body, 0);
  let batches = 0;
  const view = { continueAsNewSuggested: false, length: 10, bytes: 10 };
  for (let decision = state.decide(0, view); decision.type === 'flush'; decision = state.decide(0, view)) {
    const { spec, bodies } = state.takeBatch(decision.reason, 0);
    expect(bytesOf(spec) + bodies.length).toBeLessThan(payloadBytesMax * 0.75);
    state.finishFlush({ inserted: spec.chunks.length, rejected: 0, skipped: 0 }, spec.id, 0);
    batches++;
  }
  expect(batches).toBeGreaterThan(1);
  const { input: next, bodies } = state.carryOver(0);
  expect(bytesOf(next) + bodies.length).toBeLessThan(payloadBytesMax * 0.95);
  expect(bytesOf(state.handOn(null))).toBeLessThan((payloadBytesMax * LIMITS.inputBytes) / (2 * MIB) + 1);
});
