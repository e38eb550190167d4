import fc from 'fast-check';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { activitiesMax, Admission, CrowdedError, shareOfSlot } from '../../../src/activities/admission.js';
import { createClickHouse } from '../../../src/clickhouse/clients.js';
import { ClickHouseTables } from '../../../src/clickhouse/tables.js';
import { CONNECTIONS_OF_FLUSH, connectionsNeeded, flushesMax } from '../../../src/lib/clickhouseConnections.js';
import { parseConfig } from '../../../src/config/load.js';

const never = new AbortController().signal;

/** Work that is at work until it is told to end. */
function flush(admission: Admission, pipeline: string, signal = never, sinceMs = 0, memoryBytes = Infinity) {
  const state = { isAtWork: false, end: (): void => undefined };
  const work = () => {
    state.isAtWork = true;
    return new Promise<void>((resolve) => (state.end = resolve));
  };
  const ended = admission.run(pipeline, sinceMs, signal, work, shareOfSlot(memoryBytes));
  return Object.assign(state, { ended });
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

it('flushes that hang take no slot from a pipeline that has none, and share the next free ones with it', async () => {
  const admission = new Admission({ slots: 3, flushesMax: 24, waitingMax: 8 });
  const hanging = Array.from({ length: 8 }, () => flush(admission, 'hangs'));
  await settle();
  expect(hanging.map(({ isAtWork }) => isAtWork)).toEqual([true, true, true, false, false, false, false, false]);
  const others = [flush(admission, 'works'), flush(admission, 'works'), flush(admission, 'works')];
  await settle();
  expect(others.map(({ isAtWork }) => isAtWork)).toEqual([true, false, false]);
  // Those that hang run into their time-out, while others wait that came later.
  for (const one of hanging.slice(0, 3)) one.end();
  await settle();
  expect(others.map(({ isAtWork }) => isAtWork)).toEqual([true, true, false]);
  expect(hanging.slice(3).map(({ isAtWork }) => isAtWork)).toEqual([true, false, false, false, false]);
});

it('small flushes share a slot, and a large one waits until there is a whole one for it', async () => {
  const admission = new Admission({ slots: 1, flushesMax: 24, waitingMax: 2 });
  const small = Array.from({ length: 9 }, () => flush(admission, 'small', never, 0, 10_000));
  const large = flush(admission, 'small');
  await settle();
  expect(small.map(({ isAtWork }) => isAtWork)).toEqual([...Array.from({ length: 8 }, () => true), false]);
  for (const one of small.slice(0, 8)) one.end();
  await settle();
  expect([small[8]!.isAtWork, large.isAtWork]).toEqual([true, false]);
  small[8]!.end();
  await settle();
  expect(large.isAtWork).toBe(true);
  expect([0, 1, 128 * 1024, 128 * 1024 + 1, 1e9, Infinity].map(shareOfSlot)).toEqual([
    1 / 8,
    1 / 8,
    1 / 8,
    1 / 4,
    1,
    1,
  ]);
});

it('a worker that drains hands back what waits, and begins nothing any more', async () => {
  const draining = new AbortController();
  const admission = new Admission({ slots: 1, flushesMax: 8, waitingMax: 8, draining: draining.signal });
  const running = flush(admission, 'p');
  const waiting = [flush(admission, 'p'), flush(admission, 'p')];
  const refused = (one: { readonly ended: Promise<unknown> }) =>
    expect(one.ended).rejects.toMatchObject({ name: 'CrowdedError', message: 'this worker drains' });
  await settle();
  draining.abort();
  await Promise.all([...waiting, flush(admission, 'other')].map(refused));
  running.end();
  await running.ended;
  expect(waiting.map(({ isAtWork }) => isAtWork)).toEqual([false, false]);
});

it('a worker takes as many activities as may run and wait there, and no more', () => {
  const of = (slots: number, flushesMax: number) => activitiesMax({ slots, flushesMax, waitingMax: 8 }, 3);
  expect(of(3, 24)).toBe(24 + 27);
  expect(of(3, 1_000)).toBe(24 + 27);
  // Few connections to ClickHouse: no more would run.
  expect(of(3, 3)).toBe(3 + 27);
});

it('leaves connections for other pipelines and for questions, however many small flushes hang', async () => {
  for (const [slots, pipelines, connections] of [
    [3, 3, undefined],
    [3, 3, 50],
    [1, 20, 120],
    [20, 2, undefined],
  ] as const) {
    const most = connections ?? connectionsNeeded(slots, pipelines);
    const admission = new Admission({ slots, flushesMax: flushesMax(most, slots, pipelines), waitingMax: 1_000 });
    const hanging = Array.from({ length: 400 }, (_, index) =>
      flush(admission, `hangs${index % (pipelines - 1)}`, never, 0, 10_000),
    );
    const works = flush(admission, 'works', never, 0, 10_000);
    await settle();
    const running = hanging.filter(({ isAtWork }) => isAtWork).length;
    expect(works.isAtWork).toBe(true);
    expect((running + 1) * CONNECTIONS_OF_FLUSH).toBeLessThanOrEqual(most - 4);
    expect(running).toBeGreaterThanOrEqual(slots);
    if (connections === undefined) expect(running).toBe(slots * 8);
  }
});

it('where inserts of two pipelines hang, a third one inserts, and ClickHouse can be asked, at once', async () => {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (!Buffer.concat(parts).includes('hangs')) response.writeHead(200, { 'x-clickhouse-summary': '{}' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const names = ['hangs0', 'hangs1', 'works'];
  const text = JSON.stringify({
    clickhouse: { url: `http://127.0.0.1:${port}`, requestTimeout: '5s' },
    pipelines: Object.fromEntries(names.map((name) => [name, { topics: [name], table: name }])),
  });
  const { clickhouse, worker, pipelines } = parseConfig(text, 'ktb.yaml', {});
  const client = createClickHouse(clickhouse);
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await client.close();
  });
  const { maxConcurrentFlushes: slots } = worker;
  const most = flushesMax(clickhouse.maxConnections, slots, pipelines.length);
  const admission = new Admission({ slots, flushesMax: most, waitingMax: 8 });
  const tables = new ClickHouseTables(client, 'default');
  const insert = (table: string) =>
    admission.run(
      table,
      0,
      never,
      () => tables.send(table, { columns: new Map(), lines: [Buffer.from('{}\n')], token: 't', batch: 'b' }),
      shareOfSlot(0),
    );
  const hanging = Array.from({ length: 24 }, (_, index) => insert(`hangs${index % 2}`).catch(() => undefined));
  const beganMs = performance.now();
  await insert('works');
  await client.command({ query: 'SELECT 1' });
  expect(performance.now() - beganMs).toBeLessThan(3_000);
  server.closeAllConnections();
  await Promise.all(hanging);
});

it('one pipeline never fills the worker: what is too much is handed back at once', async () => {
  const admission = new Admission({ slots: 1, flushesMax: 24, waitingMax: 2 });
  const here = [1, 2, 3].map(() => flush(admission, 'hangs'));
  await expect(flush(admission, 'hangs').ended).rejects.toBeInstanceOf(CrowdedError);
  here[0]!.end();
  await here[0]!.ended;
  const next = flush(admission, 'hangs');
  await settle();
  expect([here[1]!.isAtWork, next.isAtWork]).toEqual([true, false]);
});

it('what was handed back comes before what came after it: the youngest that waits makes room', async () => {
  const admission = new Admission({ slots: 1, flushesMax: 24, waitingMax: 2 });
  const atWork = flush(admission, 'busy', never, 0);
  const early = flush(admission, 'busy', never, 2);
  const late = flush(admission, 'busy', never, 3);
  const again = flush(admission, 'busy', never, 1);
  await expect(late.ended).rejects.toBeInstanceOf(CrowdedError);
  atWork.end();
  await atWork.ended;
  await settle();
  expect([again.isAtWork, early.isAtWork]).toEqual([true, false]);
});

it('more batchers than there is room for: each gets its turn, although others come again at once and it comes later', async () => {
  const admission = new Admission({ slots: 1, flushesMax: 24, waitingMax: 1 });
  const done = new Map<string, number>();
  let nowMs = 0;
  const scheduled = new Map(['a', 'b', 'c', 'd'].map((batcher) => [batcher, nowMs++]));
  const here = new Map<string, ReturnType<typeof flush>>();
  const arrive = (batcher: string) => {
    const one = flush(admission, 'busy', never, scheduled.get(batcher));
    here.set(batcher, one);
    one.ended.then(
      () => {
        here.delete(batcher);
        done.set(batcher, (done.get(batcher) ?? 0) + 1);
        // Its next batch is there before anything that was handed back.
        scheduled.set(batcher, nowMs++);
        arrive(batcher);
      },
      () => here.delete(batcher),
    );
  };
  for (let round = 0; round < 40; round++) {
    for (const batcher of scheduled.keys()) if (!here.has(batcher)) arrive(batcher);
    await settle();
    // Those that were handed back stay away for two flushes.
    for (let flushes = 0; flushes < 2; flushes++) {
      [...here.values()].find(({ isAtWork }) => isAtWork)?.end();
      await settle();
    }
  }
  expect(Math.min(...['a', 'b', 'c', 'd'].map((batcher) => done.get(batcher) ?? 0))).toBeGreaterThan(10);
});

it('whoever is called off while it waits leaves the queue', async () => {
  const admission = new Admission({ slots: 1, flushesMax: 24, waitingMax: 2 });
  const first = flush(admission, 'a');
  const calledOff = new AbortController();
  const second = flush(admission, 'a', calledOff.signal);
  const third = flush(admission, 'a');
  calledOff.abort(new Error('parked'));
  await expect(second.ended).rejects.toThrow('parked');
  first.end();
  await first.ended;
  await settle();
  expect([second.isAtWork, third.isAtWork]).toEqual([false, true]);
});

it('at any time: no more at work than slots and pipelines, each pipeline that waits has one at work, and all come to their turn', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom('a', 'b', 'c', 'end'), { maxLength: 40 }),
      async (slots, events) => {
        const admission = new Admission({ slots, flushesMax: slots * 8, waitingMax: 100 });
        let flushes: (ReturnType<typeof flush> & { pipeline: string })[] = [];
        const end = async () => {
          const first = flushes.find(({ isAtWork }) => isAtWork);
          first?.end();
          await first?.ended;
          flushes = flushes.filter((one) => one !== first);
        };
        for (const event of events) {
          if (event === 'end') await end();
          else flushes.push(Object.assign(flush(admission, event), { pipeline: event }));
          await settle();
          const atWork = flushes.filter(({ isAtWork }) => isAtWork);
          expect(atWork.length).toBeLessThanOrEqual(slots + 2);
          expect(new Set(atWork.map(({ pipeline }) => pipeline))).toEqual(
            new Set(flushes.map(({ pipeline }) => pipeline)),
          );
        }
        while (flushes.length > 0) {
          const before = flushes.length;
          await end();
          await settle();
          expect(flushes.length).toBe(before - 1);
        }
      },
    ),
  );
});
