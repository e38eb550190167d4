import { expect, it } from 'vitest';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { applySignal } from '../../../src/workflows/signals.js';
import { payloadConverter } from '../../../src/workflows/payloadConverter.js';
import { chunkOf, input } from '../../support/chunks.js';
import { record } from '../../support/records.js';

const source = { topic: 'orders', partition: 0, epoch: 'e1' };
const { meta, body } = chunkOf({ ...source, from: -1, to: 0, records: [record(0)] });

/** Whether a batcher takes a signal for its own. */
function isOurs(name: string, ...args: unknown[]): boolean {
  return applySignal(new BatcherState({ workflowId: 'b', runId: 'r' }, input(), new Uint8Array(0)), name, args, 0);
}

it('takes what is ours, and nothing else, under whatever name', () => {
  expect(isOurs('records', meta, body)).toBe(true);
  expect(isOurs('pause')).toBe(true);
  expect(isOurs('park', { batch: 1 })).toBe(true);
  expect(isOurs('close', { ...source, offset: 1 })).toBe(true);
  for (const [name, ...args] of [
    ['hello', meta, body],
    ['records'],
    ['records', null, null],
    ['records', meta],
    ['records', { ...meta, segments: undefined }, body],
    ['records', { ...meta, segments: [null] }, body],
    ['records', { ...meta, segments: [{ ...meta.segments[0], from: 'x' }] }, body],
    ['records', { ...meta, records: '1' }, body],
    ['park', {}],
    ['park', { batch: '1' }],
    ['close', null],
  ] as [string, ...unknown[]][])
    expect(isOurs(name, ...args), `${name} ${JSON.stringify(args)}`).toBe(false);
});

it('a chunk of a version to come, or that was damaged, is nobody else’s: it is refused until it is understood', () => {
  expect(() => isOurs('records', { ...meta, format: 'ktb-chunk/99' }, body)).toThrow('ktb-chunk/99');
  expect(() => isOurs('records', { ...meta, crc32: meta.crc32 + 1 }, body)).toThrow('checksum');
});

it('keeps of control and close signals, however long they are, what can be carried to the next run', () => {
  const state = new BatcherState({ workflowId: 'b', runId: 'r' }, input(), new Uint8Array(0));
  const long = { actor: 'a'.repeat(1_900_000), reason: 'r'.repeat(1_900_000), batch: 1 };
  state.accept(meta, body, 0);
  state.takeBatch('delay', 0);
  for (let time = 0; time < 30; time++) for (const name of ['flush', 'park']) applySignal(state, name, [long], time);
  expect(state.parking).toEqual({ reason: 'r'.repeat(500) });
  for (const name of ['topic', 'epoch'])
    applySignal(state, 'close', [{ ...source, [name]: 'n'.repeat(1_900_000), offset: 1 }], 0);
  state.finishFlush({ inserted: 0, rejected: 1, skipped: 0 }, 'b1', 1);
  expect(JSON.stringify(state.carryOver(1).input).length).toBeLessThan(50_000);
});

it('a payload that cannot be read is handed on as what it is, instead of failing the task for ever', () => {
  const text = (encoding: string, data: string) => ({
    metadata: { encoding: Buffer.from(encoding) },
    data: Buffer.from(data),
  });
  expect(payloadConverter.fromPayload(text('json/plain', '{"a":1}'))).toEqual({ a: 1 });
  for (const payload of [
    text('json/plain', '{'),
    text('json/protobuf', '{}'),
    text('binary/encrypted', '?'),
    text('', ''),
  ])
    expect(payloadConverter.fromPayload(payload)).toMatchObject({ encoding: payload.metadata.encoding.toString() });
  expect(payloadConverter.fromPayload<{ data: Uint8Array }>(text('json/plain', '{')).data).toEqual(Uint8Array.of(0x7b));
});
