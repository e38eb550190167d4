import { afterEach, expect, it, vi } from 'vitest';
import { parseConfig } from '../../../src/config/load.js';
import type { BatcherClient, SendOutcome } from '../../../src/temporal/batcherClient.js';
import { BatcherOpener } from '../../../src/temporal/batcherOpener.js';
import type { HistorySize } from '../../../src/temporal/flowControl.js';
import { laneIndex } from '../../../src/codecs/laneIndex.js';
import type { Layout } from '../../../src/protocol/layout.js';
import { record } from '../../support/records.js';

afterEach(() => void vi.restoreAllMocks());

const QUIET: HistorySize = { runId: 'r1', bytes: 1_000, events: 10 };

/** A bridge whose batchers have this history and answer signals like this, one after the other. */
function bridge(
  history: HistorySize | null,
  outcomes: SendOutcome[] = [],
  { shardBy = 'key', table = 'orders' }: { shardBy?: string; table?: string } = {},
) {
  const yaml = `pipelines: { orders: { topics: [a], table: "${table}", batchers: 16, shardBy: "${shardBy}" } }`;
  const { pipelines } = parseConfig(yaml, 'ktb.yaml', {});
  const done: string[] = [];
  const indexes: number[] = [];
  let looks = 0;
  const run = { id: 'r1' };
  const batcher = (_pipeline: unknown, _layout: Layout, index: number) => {
    indexes.push(index);
    return {
      workflowId: `batcher-${index}`,
      history: () => {
        looks++;
        return Promise.resolve(history === null ? null : { ...history, runId: run.id });
      },
      send: (meta: { records: number; settings?: unknown }) => {
        done.push(`${meta.records} records, ${meta.settings === undefined ? 'no ' : ''}settings`);
        return Promise.resolve(outcomes.shift() ?? { type: 'accepted', bytes: 0, runId: run.id, started: false });
      },
      startHeir: () => {
        done.push('heir');
        return Promise.resolve({ closed: null, dueTask: null });
      },
    } as unknown as BatcherClient;
  };
  const opener = new BatcherOpener({
    pipelines,
    batcher,
    settingsOf: ({ settings }) => settings,
    isClaimed: (pipeline) => Promise.resolve(pipeline === 'others'),
  });
  return { opener, done, indexes, run, looks: () => looks, pipeline: pipelines[0]! };
}

it('a request goes to the batcher of its key, as a record of Kafka does; without one to that of its id', async () => {
  const layout = { batchers: 16, keyFunction: 'key' } as const;
  const { opener } = bridge(QUIET);
  for (const key of ['a', 'b', 'é']) {
    const { batcher } = await opener.open({ pipeline: 'orders', id: 'x', key });
    expect(batcher).toBe(`ktb:orders:16-key:${laneIndex(record(0, { key: Buffer.from(key) }), 0, layout)}`);
  }
  const ids = Array.from({ length: 50 }, (_, id) => opener.open({ pipeline: 'orders', id: `row-${id}`, key: null }));
  expect(new Set((await Promise.all(ids)).map(({ batcher }) => batcher)).size).toBeGreaterThan(8);

  const byHeader = bridge(QUIET, [], { shardBy: 'header:tenant' }).opener;
  const open = (id: string, headers: Record<string, string>) => byHeader.open({ pipeline: 'orders', id, headers });
  expect(await open('x', { tenant: 't1' })).toEqual(await open('y', { tenant: 't1', other: 'o' }));
});

it('a request whose id, key or headers have half of a character gets no batcher, and is told why', async () => {
  const { opener, looks } = bridge(QUIET);
  for (const part of [{ id: '\ud800' }, { key: '\udc00' }, { headers: { a: '\ud800' } }])
    await expect(opener.open({ pipeline: 'orders', id: 'x', ...part })).rejects.toMatchObject({
      type: 'HalfCharacter',
      nonRetryable: true,
      message: expect.stringContaining('half of a character') as string,
    });
  expect(looks()).toBe(0);
});

it('where a value decides, which is not known yet, a request goes by its key', async () => {
  const { opener } = bridge(QUIET, [], { shardBy: '/customer' });
  const byKey = bridge(QUIET).opener;
  const index = async (from: BatcherOpener) =>
    (await from.open({ pipeline: 'orders', id: 'x', key: 'a' })).batcher.split(':').at(-1);
  expect(await index(opener)).toBe(await index(byKey));
});

it('one that was never started is started, by its settings; one that runs is told them once', async () => {
  const fresh = bridge(null);
  await fresh.opener.open({ pipeline: 'orders', id: 'x' });
  expect(fresh.done).toEqual(['0 records, settings']);
  const running = bridge(QUIET);
  await running.opener.open({ pipeline: 'orders', id: 'x' });
  await new Promise((resolve) => setTimeout(resolve, 250));
  await running.opener.open({ pipeline: 'orders', id: 'x' });
  expect(running.looks()).toBe(2);
  expect(running.done).toEqual(['0 records, settings']);
});

it('one whose run has ended gets an heir first', async () => {
  const { opener, done } = bridge(null, [{ type: 'closed' }]);
  await opener.open({ pipeline: 'orders', id: 'x' });
  expect(done).toEqual(['0 records, settings', 'heir', '0 records, settings']);
});

it('nobody is sent to one that is full, or that did not take the settings: the activity is repeated', async () => {
  const full = bridge({ ...QUIET, events: 8_000 });
  await expect(full.opener.open({ pipeline: 'orders', id: 'x' })).rejects.toMatchObject({ type: 'BatcherFull' });
  expect(full.done).toEqual([]);
  const away = bridge(QUIET, [{ type: 'retry', bytes: 0, message: 'no answer' }]);
  await expect(away.opener.open({ pipeline: 'orders', id: 'x' })).rejects.toMatchObject({
    type: 'BatcherNotOpen',
    nonRetryable: false,
  });
});

it('many who ask at once cost one look', async () => {
  const { opener, looks } = bridge(QUIET);
  const asked = Array.from({ length: 200 }, () => opener.open({ pipeline: 'orders', id: 'x', key: 'k' }));
  await Promise.all(asked);
  expect(looks()).toBe(1);
});

it('one that was full is looked at again, also where the clock was set back meanwhile', async () => {
  const { opener, looks } = bridge({ ...QUIET, events: 8_000 });
  const open = () => opener.open({ pipeline: 'orders', id: 'x' });
  await expect(open()).rejects.toMatchObject({ type: 'BatcherFull' });
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
  vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 200);
  await expect(open()).rejects.toMatchObject({ type: 'BatcherFull' });
  expect(looks()).toBe(2);
});

it('a batcher gets the settings once, and again once they have changed', async () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 1_000));
  const { opener, done, pipeline } = bridge(QUIET);
  const open = () => opener.open({ pipeline: 'orders', id: 'x' });
  await open();
  await open();
  expect(done).toEqual(['0 records, settings']);
  pipeline.settings = { ...pipeline.settings };
  await open();
  await open();
  expect(done).toEqual(['0 records, settings', '0 records, settings']);
});

it('each run of a batcher gets the settings: others may have sent it older ones before', async () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 1_000));
  const { opener, done, run } = bridge(QUIET);
  const open = () => opener.open({ pipeline: 'orders', id: 'x' });
  await open();
  run.id = 'r2';
  await open();
  await open();
  expect(done).toEqual(['0 records, settings', '0 records, settings']);
});

it('a pipeline that is not there is said so, and not asked for again', async () => {
  await expect(bridge(QUIET).opener.open({ pipeline: 'ordres', id: 'x' })).rejects.toMatchObject({
    type: 'UnknownPipeline',
    nonRetryable: true,
    message: 'there is no pipeline ordres; there are: orders',
  });
});

it('a pipeline whose topics decide the table has none for a request', async () => {
  const { opener, done } = bridge(QUIET, [], { table: 'raw_{topic}' });
  await expect(opener.open({ pipeline: 'orders', id: 'x' })).rejects.toMatchObject({
    type: 'NoTable',
    nonRetryable: true,
  });
  expect(done).toEqual([]);
});

it('a pipeline that others on the task queue have is asked for again, until one of its workers answers', async () => {
  const { opener } = bridge(QUIET);
  const error: unknown = await opener.open({ pipeline: 'others', id: 'x' }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ type: 'OtherInstallation', nonRetryable: false, nextRetryDelay: '100 milliseconds' });
  await expect(opener.open({ pipeline: 'nobodys', id: 'x' })).rejects.toMatchObject({ type: 'UnknownPipeline' });
});
