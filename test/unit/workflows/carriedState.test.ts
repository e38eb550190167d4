import { expect, it } from 'vitest';
import type { CarriedState } from '../../../src/protocol/batcher.js';
import { newParts } from '../../../src/workflows/batcherParts.js';
import { restore, restoreInherited, toCarried, toInheritance } from '../../../src/workflows/carriedState.js';
import { chunk, settings } from '../../support/chunks.js';

const RUN = { workflowId: 'ktb:orders:8-key:0', runId: 'r2' };
const { segments, records, bytes } = chunk({ from: -1, to: 4 });
const control = { action: 'pause', actor: 'ada', reason: 'because', atMs: 1 } as const;
/** A state that has something in every field. */
const FULL: Required<CarriedState> = {
  chunks: [{ segments, keep: [null], records, bytes, bodyBytes: 2, acceptedAtMs: 5 }],
  chunksToFlush: 1,
  bufferRuns: ['r1'],
  estates: [{ runId: 'r0', chunksDone: 1, batches: [2], begun: null }],
  counters: {
    signals: 1,
    records: 2,
    batches: 3,
    inserted: 4,
    rejected: 5,
    skipped: 6,
    duplicateChunks: 7,
    foreignSignals: 8,
    continuations: 9,
  },
  paused: true,
  draining: true,
  controls: [control],
  lastFlush: { number: 3, id: 'id', reason: 'delay', records: 4, startedAtMs: 1, finishedAtMs: 2 },
  idleContinuations: 2,
  requests: { epoch: 'r0', next: 1, names: '0123456789abcdef', runs: [[1, 'inserted', 1]] },
  confirmations: [
    {
      requester: 'w',
      confirmation: {
        format: 'ktb-confirmation/1',
        id: 'a',
        status: 'inserted',
        topic: 'ktb:orders:8-key:0',
        partition: 0,
        epoch: 'r0',
        offset: 0,
        batch: null,
      },
      attempts: 1,
      dueAtMs: 9,
    },
  ],
  coverage: [{ topic: 'orders', partition: 0, epochs: [{ epoch: 'e1', ranges: [[-1, 4]] }] }],
  doubtful: [{ topic: 'orders', partition: 1, epochs: [{ epoch: 'e1', ranges: [[-1, 7]] }] }],
  foreignSignals: [{ name: 'hello', value: '[]', size: 2, atMs: 3 }],
};

it('hands every field on as it was, to the next run', () => {
  const parts = newParts(RUN);
  restore(parts, FULL, Uint8Array.of(1, 2));
  expect(toCarried(parts, settings(), 2)).toEqual({ ...FULL, bufferRuns: ['r1', 'r2'], idleContinuations: 3 });
});

it('an heir gets what is of use to it, and ignores the rest if it is there', () => {
  const inheritance = toInheritance(FULL);
  const { chunks, chunksToFlush, bufferRuns, draining, idleContinuations, foreignSignals, ...inherited } = FULL;
  expect(inheritance).toEqual(inherited);
  const heir = newParts(RUN);
  const notForHeirs = { chunks, chunksToFlush, bufferRuns, draining, idleContinuations, foreignSignals };
  restoreInherited(heir, { ...inheritance, ...notForHeirs });
  const carried = toCarried(heir, settings(), 0);
  expect(toInheritance(carried)).toEqual(inherited);
  expect(carried).toMatchObject({ chunks: [], chunksToFlush: 0, draining: false, idleContinuations: 1 });
  expect(carried).not.toHaveProperty('foreignSignals');
});

it('leaves out what is empty and may be left out', () => {
  const carried = toCarried(newParts(RUN), settings(), 0);
  expect(carried).toMatchObject({ chunks: [], coverage: [], controls: [] });
  for (const name of ['requests', 'confirmations', 'foreignSignals']) expect(carried).not.toHaveProperty(name);
});
