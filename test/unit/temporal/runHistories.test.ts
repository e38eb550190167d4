import type { Client } from '@temporalio/client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { PayloadCipher } from '../../../src/codecs/payloadCipher.js';
import { RUN_BEFORE } from '../../../src/protocol/inheritance.js';
import { setCipher } from '../../../src/temporal/encryption.js';
import type { BatcherEvent } from '../../../src/temporal/historyEvents.js';
import { HistoryGoneError, RunHistories } from '../../../src/temporal/runHistories.js';
import { Histories as StoredHistories } from '../../simulation/batcher/histories.js';
import type { BatchSpec } from '../../../src/protocol/flush.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { chunkOf, input } from '../../support/chunks.js';
import { record } from '../../support/records.js';

afterEach(() => void vi.useRealTimers());

/** Histories of runs that had accepted three chunks of one record each, and flushed none. */
class Histories extends RunHistories {
  readonly read: string[] = [];

  constructor() {
    super({} as unknown as Client, 'default');
  }

  override async *events(_workflowId: string, runId: string): AsyncIterable<BatcherEvent> {
    this.read.push(runId);
    yield { type: 'started', input: input(), bodies: new Uint8Array(0) };
    for (const to of [0, 1, 2]) {
      const segment = { topic: 'orders', partition: 0, epoch: runId, from: to - 1, to, records: [record(to)] };
      const { meta, body } = chunkOf(segment);
      yield await Promise.resolve({ type: 'signaled' as const, name: 'records', args: [meta, body], atMs: 0 });
    }
  }

  async offsets(runId: string, from: number, count: number): Promise<unknown[]> {
    const chunks = await this.leftover('batcher', runId, from, count);
    return chunks.map(({ chunk: { segments } }) => [segments[0]?.epoch, segments[0]?.to]);
  }
}

it('reads the history of a closed run once for all batches of its heir', async () => {
  const histories = new Histories();
  expect(await histories.offsets('r1', 0, 1)).toEqual([['r1', 0]]);
  expect(await histories.offsets('r1', 1, 2)).toEqual([
    ['r1', 1],
    ['r1', 2],
  ]);
  await expect(histories.offsets('r1', 2, 2)).rejects.toThrow('run r1 of batcher has left 3 chunks, not 4');
  expect(histories.read).toEqual(['r1']);
});

it('keeps what a few runs have left, and not for long', async () => {
  vi.useFakeTimers();
  const histories = new Histories();
  const runs = ['r1', 'r2', 'r3', 'r4'];
  for (const at of [0, 1]) for (const run of runs) expect(await histories.offsets(run, at, 1)).toEqual([[run, at]]);
  expect(histories.read).toEqual(runs);
  // With one too many the others keep their places.
  for (const run of ['r5', 'r5', ...runs]) await histories.offsets(run, 0, 1);
  expect(histories.read).toEqual([...runs, 'r5', 'r5']);
  vi.advanceTimersByTime(40_000);
  await histories.offsets('r1', 1, 1);
  vi.advanceTimersByTime(20_000);
  await histories.offsets('r1', 1, 1);
  await histories.offsets('r2', 1, 1);
  expect(histories.read).toEqual([...runs, 'r5', 'r5', 'r2']);
});

it('what a run has left makes room for another once its last chunk was asked for, and is kept for another attempt until then', async () => {
  const histories = new Histories();
  const runs = ['r1', 'r2', 'r3', 'r4'];
  for (const run of runs) await histories.offsets(run, 0, 3);
  for (const run of runs) await histories.offsets(run, 2, 1);
  expect(histories.read).toEqual(runs);
  // One that is asked for all at once takes no place of others.
  await histories.offsets('r5', 0, 3);
  await histories.offsets('r1', 2, 1);
  expect(histories.read).toEqual([...runs, 'r5']);
  for (const at of [0, 1]) await histories.offsets('r6', at, 1);
  expect(histories.read).toEqual([...runs, 'r5', 'r6']);
});

describe('a batch that is stored once', () => {
  const WORKFLOW_ID = 'ktb:orders:8-key:0';

  /** A run that has accepted two chunks, and puts both into a batch. */
  function flushingRun(readsOn = true): { histories: RunHistories; spec: BatchSpec; bodies: Uint8Array } {
    const state = new BatcherState({ workflowId: WORKFLOW_ID, runId: 'r1' }, input(), new Uint8Array(0));
    const signals = [0, 1].map((to) => {
      const segment = { topic: 'orders', partition: 0, epoch: 'e1', from: to - 1, to, records: [record(to)] };
      const { meta, body } = chunkOf(segment);
      state.accept(meta, body, 0);
      return { type: 'signaled', name: 'records', args: [meta, body], atMs: 0 } as const;
    });
    const { spec, bodies } = state.takeBatch('delay', 0);
    const histories = new (class extends RunHistories {
      override async *events(): AsyncIterable<BatcherEvent> {
        yield { type: 'started', input: input(), bodies: new Uint8Array(0) };
        yield* signals;
        yield await Promise.resolve({ type: 'insertScheduled' as const, spec, atMs: 0, bytes: new Uint8Array(0) });
        if (readsOn) yield* signals.slice(0, 1);
        else throw new Error('read too far');
      }
    })({} as unknown as Client, 'default');
    return { histories, spec, bodies };
  }

  it('is found in the history of the run that flushes it', async () => {
    const { histories, spec, bodies } = flushingRun();
    expect(await histories.flushing(WORKFLOW_ID, 'r1', spec)).toEqual(bodies);
  });

  it('is found without what the run has accepted since', async () => {
    const { histories, spec, bodies } = flushingRun(false);
    expect(await histories.flushing(WORKFLOW_ID, 'r1', spec)).toEqual(bodies);
    // A later batch may have the same id.
    await expect(histories.flushing(WORKFLOW_ID, 'r1', { ...spec, number: 2 })).rejects.toThrow('read too far');
  });

  it('is not taken for another one', async () => {
    await expect(flushingRun().histories.flushing(WORKFLOW_ID, 'r1', { id: 'other', number: 1 })).rejects.toThrow(
      `run r1 of ${WORKFLOW_ID} is not flushing batch other`,
    );
  });

  it('is given its bodies among the events', async () => {
    const { histories, bodies } = flushingRun();
    const found: unknown[] = [];
    for await (const event of histories.eventsWithBodies(WORKFLOW_ID, 'r1'))
      if (event.type === 'insertScheduled') found.push(event.bytes);
    expect(found).toEqual([bodies]);
  });
});

describe('runs as Temporal has them', () => {
  const WORKFLOW_ID = 'ktb:orders:8-key:0';
  const NO_BODIES = new Uint8Array(0);
  const SOURCE = { topic: 'orders', partition: 0 };
  const stored = (): [StoredHistories, RunHistories] => {
    const histories = new StoredHistories();
    return [histories, new RunHistories(histories.client(), 'default')];
  };
  /** A run that accepts one record of its own and is closed. */
  const closedRun = (histories: StoredHistories, run: number, heirOf?: number) => {
    const given = heirOf === undefined ? input() : { ...input(), heirOf: `run-${heirOf}` };
    histories.started(`run-${run}`, 0, [given, NO_BODIES]);
    const source = { topic: 'orders', partition: 0, epoch: `of run ${run}` };
    const { meta, body } = chunkOf({ ...source, from: -1, to: 0, records: [record(0)] });
    histories.signaled(`run-${run}`, 0, 'records', [meta, body]);
    histories.ended(`run-${run}`, 'TERMINATED');
  };

  it('an heir takes over the run before it, although a late sender named an earlier one', async () => {
    const [histories, reader] = stored();
    closedRun(histories, 1);
    closedRun(histories, 2, 1);
    // Three senders saw run 1 closed; the last two were late.
    closedRun(histories, 3, 1);
    histories.started('run-4', 0, [{ ...input(), heirOf: 'run-1' }, NO_BODIES]);
    const { estates, coverage } = await reader.inheritanceOf(WORKFLOW_ID, 'run-4', 'run-1');
    expect(estates.map(({ runId }) => runId)).toEqual(['run-1', 'run-2', 'run-3']);
    expect(coverage[0]?.epochs.map(({ epoch }) => epoch)).toEqual(['of run 1', 'of run 2', 'of run 3']);
  });

  it('an heir waits until Temporal lists it: a run before it might not be listed either', async () => {
    const [histories, reader] = stored();
    closedRun(histories, 1);
    histories.started('run-2', 0, [{ ...input(), heirOf: 'run-1' }, NO_BODIES]);
    histories.hide('run-2');
    await expect(reader.inheritanceOf(WORKFLOW_ID, 'run-2', 'run-1')).rejects.toThrow('does not list run run-2');
  });

  it('of a run that is gone nothing is left, and of the others all', async () => {
    const [histories, reader] = stored();
    closedRun(histories, 1);
    closedRun(histories, 2, 1);
    histories.started('run-3', 0, [{ ...input(), heirOf: 'run-2' }, NO_BODIES]);
    histories.remove('run-1');
    const { estates, lost } = await reader.inheritanceOf(WORKFLOW_ID, 'run-3', 'run-2');
    expect(estates.map(({ runId }) => runId)).toEqual(['run-2']);
    // Run 2 was closed before it had found that out, and has told nobody.
    expect(lost).toBe(1);
    histories.remove('run-2');
    expect(await reader.inheritanceOf(WORKFLOW_ID, 'run-3', 'run-2')).toMatchObject({ estates: [], lost: 1 });
    await expect(reader.leftover(WORKFLOW_ID, 'run-1', 0, 1)).rejects.toThrow(HistoryGoneError);
    await expect(reader.result(WORKFLOW_ID, { runId: 'run-1', eventId: 1 })).rejects.toThrow(HistoryGoneError);
  });

  it('a run that is no heir takes over the run before its chain, if nobody has', async () => {
    const [histories, reader] = stored();
    const left = async (run: number) =>
      (await reader.inheritanceOf(WORKFLOW_ID, `run-${run}`, RUN_BEFORE)).estates.map(({ runId }) => runId);
    closedRun(histories, 1);
    expect(await left(1)).toEqual([]);
    histories.started('run-2', 0, [input(), NO_BODIES]);
    expect(await left(2)).toEqual(['run-1']);
    histories.ended('run-2', 'CONTINUED_AS_NEW');
    histories.started('run-3', 0, [input(), NO_BODIES], { firstExecutionRunId: 'run-2' });
    expect(await left(3)).toEqual(['run-1']);
    histories.ended('run-3', 'TERMINATED');
    histories.started('run-4', 0, [{ ...input(), heirOf: 'run-3' }, NO_BODIES]);
    expect(await left(4)).toEqual([]);
  });

  it('no workflow of somebody else is taken over, and nothing of a start that no batcher could begin with, whatever names it', async () => {
    const [histories, reader] = stored();
    closedRun(histories, 1);
    histories.started('run-2', 0, [], { workflowType: { name: 'other' } });
    histories.ended('run-2', 'TERMINATED');
    for (const [run, args] of [
      [3, []],
      [4, ['?']],
      [5, [{ format: 'ktb-batcher/1' }]],
    ] as [number, unknown[]][]) {
      histories.started(`run-${run}`, 0, args);
      histories.ended(`run-${run}`, 'TERMINATED');
    }
    histories.started('run-6', 0, [{ ...input(), heirOf: 'run-2' }, NO_BODIES]);
    for (const named of ['run-2', 'run-5', 'run-1', 'run-77']) {
      const { estates } = await reader.inheritanceOf(WORKFLOW_ID, 'run-6', named);
      expect(
        estates.map(({ runId }) => runId),
        named,
      ).toEqual(['run-1']);
    }
    histories.remove('run-1');
    expect(await reader.inheritanceOf(WORKFLOW_ID, 'run-6', 'run-2')).toMatchObject({ estates: [], coverage: [] });
  });

  it('what a run got that no batcher could begin with is taken over, after what the run before it has left', async () => {
    for (const args of [
      [],
      ['?'],
      [{ format: 5 }, NO_BODIES],
      [{ ...input(), settings: null }, NO_BODIES],
      [{ ...input(), settings: {} }, NO_BODIES],
      [{ ...input(), heirOf: 5 }, NO_BODIES],
    ]) {
      const [histories, reader] = stored();
      closedRun(histories, 1);
      histories.started('run-2', 0, args);
      const { meta, body } = chunkOf({ ...SOURCE, epoch: 'of run 2', from: -1, to: 0, records: [record(0)] });
      histories.signaled('run-2', 0, 'records', [meta, body]);
      histories.ended('run-2', 'TERMINATED');
      histories.started('run-3', 0, [{ ...input(), heirOf: 'run-2' }, NO_BODIES]);
      const { estates, coverage } = await reader.inheritanceOf(WORKFLOW_ID, 'run-3', 'run-2');
      const what = JSON.stringify(args);
      expect(
        estates.map(({ runId }) => runId),
        what,
      ).toEqual(['run-1', 'run-2']);
      expect(
        coverage[0]?.epochs.map(({ epoch }) => epoch),
        what,
      ).toEqual(['of run 1', 'of run 2']);
      expect(await reader.leftover(WORKFLOW_ID, 'run-2', 0, 1)).toMatchObject([
        { chunk: { segments: [{ epoch: 'of run 2' }] } },
      ]);
    }
  });

  it('what a run got that was started without bodies is taken over', async () => {
    const [histories, reader] = stored();
    histories.started('run-1', 0, [input()]);
    const { meta, body } = chunkOf({ ...SOURCE, epoch: 'e1', from: -1, to: 0, records: [record(0)] });
    histories.signaled('run-1', 0, 'records', [meta, body]);
    histories.ended('run-1', 'TERMINATED');
    histories.started('run-2', 0, [{ ...input(), heirOf: 'run-1' }, NO_BODIES]);
    const { estates } = await reader.inheritanceOf(WORKFLOW_ID, 'run-2', 'run-1');
    expect(estates.map(({ runId }) => runId)).toEqual(['run-1']);
  });

  it('with keys, the run before one comes first that somebody had started in its place, and that had not found out', async () => {
    const histories = new StoredHistories();
    const client = histories.client();
    setCipher(client, new PayloadCipher({ keys: new Map([['k1', new Uint8Array(32)]]), active: null }));
    const reader = new RunHistories(client, 'default');
    closedRun(histories, 1);
    closedRun(histories, 2);
    histories.started('run-3', 0, [{ ...input(), heirOf: 'run-2' }, NO_BODIES]);
    const { estates } = await reader.inheritanceOf(WORKFLOW_ID, 'run-3', 'run-2');
    expect(estates.map(({ runId }) => runId)).toEqual(['run-1', 'run-2']);
  });

  it('what two runs have left together is no larger than Temporal takes, and says what is forgotten for it', async () => {
    const histories = new StoredHistories();
    const client = histories.client();
    setCipher(client, new PayloadCipher({ keys: new Map([['k1', new Uint8Array(32)]]), active: null }));
    for (const run of [1, 2]) {
      histories.started(`run-${run}`, 0, [input(), NO_BODIES]);
      for (let partition = 0; partition < 100; partition++) {
        const segment = { topic: `of.run.${run}`, partition, epoch: 'e1', from: -1, to: 0, records: [record(0)] };
        const { meta, body } = chunkOf(segment);
        histories.signaled(`run-${run}`, 0, 'records', [meta, body]);
      }
      histories.ended(`run-${run}`, 'TERMINATED');
    }
    histories.started('run-3', 0, [{ ...input(), heirOf: 'run-2' }, NO_BODIES]);
    const inheritanceWithin = (bytes: number) =>
      new RunHistories(client, 'default', bytes).inheritanceOf(WORKFLOW_ID, 'run-3', 'run-2');
    const bytesMax = 16 * 1024;
    const { coverage, estates, forgotten } = await inheritanceWithin(bytesMax);
    expect(JSON.stringify(coverage).length).toBeLessThan(bytesMax);
    expect(forgotten).toBe(200 - coverage.length);
    const whole = await inheritanceWithin(2 * 1024 * 1024);
    expect([whole.coverage.length, whole.forgotten]).toEqual([200, undefined]);
    expect(estates).toEqual(whole.estates);
  });

  it('where the whole batcher is not found, nothing is taken for lost', async () => {
    const [, reader] = stored();
    await expect(reader.leftover(WORKFLOW_ID, 'run-1', 0, 1)).rejects.not.toThrow(HistoryGoneError);
  });
});
