import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { beforeAll, expect, it } from 'vitest';
import { RunHistories } from '../../src/temporal/runHistories.js';
import type { Inheritance } from '../../src/protocol/inheritance.js';
import { historyFromJson } from '../support/historyJson.js';
import { NO_SINKS } from '../support/noSinks.js';

// What earlier versions wrote into Temporal, and the batcher as it is now: a worker that is new, or that was rolled back,
// goes on with these runs. `npm run record-histories` adds those of this version.
const HISTORIES = fileURLToPath(new URL('histories/', import.meta.url));
const BUNDLE = fileURLToPath(new URL('../../dist/workflows/bundle.js', import.meta.url));
const files = readdirSync(HISTORIES, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.json'));

const stored = (file: string) => historyFromJson(JSON.parse(readFileSync(`${HISTORIES}${file}`, 'utf8')));

beforeAll(() => {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
  });
});

it('decides in each stored history what was decided then', async () => {
  const histories = files.map((file) => ({ workflowId: file, history: stored(file) }));
  expect(histories.length).toBeGreaterThan(0);
  const outcomes = new Map<string, string>();
  const workflowBundle = { code: readFileSync(BUNDLE, 'utf8') };
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle, sinks: NO_SINKS }, histories))
    outcomes.set(workflowId, error === undefined ? 'replayed' : String(error));
  expect(Object.fromEntries(outcomes)).toEqual(Object.fromEntries(files.map((file) => [file, 'replayed'])));
});

it('goes on with a run whose worker, of a version that knew none, paid no heed to the installation it was told of', async () => {
  // While a batch is on its way.
  const history = stored('0.1.0/flushes.1.json');
  const payloads = (eventId: number) => {
    const event = history.events.find((one) => Number(one.eventId) === eventId)!;
    const { workflowExecutionStartedEventAttributes: started, workflowExecutionSignaledEventAttributes: signaled } =
      event;
    return (started ?? signaled)!.input!.payloads!;
  };
  const { settings } = defaultPayloadConverter.fromPayload<{ settings: object }>(payloads(1)[0]!);
  const chunk = defaultPayloadConverter.fromPayload<object>(payloads(37)[0]!);
  const told = { ...settings, installation: { name: 'here', taskQueue: 'batchers@here' } };
  payloads(37)[0] = defaultPayloadConverter.toPayload({ ...chunk, settings: told })!;
  const workflowBundle = { code: readFileSync(BUNDLE, 'utf8') };
  for await (const { error } of Worker.runReplayHistories({ workflowBundle, sinks: NO_SINKS }, [
    { workflowId: 'told', history },
  ]))
    expect(error).toBeUndefined();
});

it.each(files.filter((name) => name.startsWith('0.1.0/')))(
  'decides in %s what a worker decided that did not know the smaller limit of payloads it was told of',
  async (file) => {
    const history = stored(file);
    let told = 0;
    const tell = <T extends object>(value: T): T =>
      Object.fromEntries(
        Object.entries(value).map(([name, member]: [string, unknown]) => {
          if (name !== 'batch' || typeof member !== 'object') {
            return [
              name,
              typeof member === 'object' && member !== null && !Array.isArray(member) ? tell(member) : member,
            ];
          }
          told++;
          return [name, { ...member, payloadBytesMax: 1_024 }];
        }),
      ) as T;
    for (const event of history.events) {
      const { workflowExecutionStartedEventAttributes: started, workflowExecutionSignaledEventAttributes: signaled } =
        event;
      const payloads = (started ?? signaled)?.input?.payloads;
      const [payload] = payloads ?? [];
      if (
        payloads === null ||
        payloads === undefined ||
        Buffer.from(payload?.metadata?.['encoding'] ?? []).toString() !== 'json/plain'
      )
        continue;
      const value = defaultPayloadConverter.fromPayload<unknown>(payload!);
      if (typeof value === 'object' && value !== null && !Array.isArray(value))
        payloads[0] = defaultPayloadConverter.toPayload(tell(value))!;
    }
    expect(told).toBeGreaterThan(0);
    const workflowBundle = { code: readFileSync(BUNDLE, 'utf8') };
    for await (const { error } of Worker.runReplayHistories({ workflowBundle, sinks: NO_SINKS }, [
      { workflowId: file, history },
    ]))
      expect(error).toBeUndefined();
  },
);

it('reads from a closed run what its heir has read then', async () => {
  for (const file of files.filter((name) => name.endsWith('heir.1.json'))) {
    const closed = stored(file);
    const heir = stored(file.replace('1.json', '2.json'));
    const history = { history: closed, nextPageToken: new Uint8Array(0) };
    const client = { workflowService: { getWorkflowExecutionHistory: () => Promise.resolve(history) } };
    const results = heir.events.flatMap(
      ({ activityTaskCompletedEventAttributes: completed }) => completed?.result?.payloads ?? [],
    );
    const readThen = defaultPayloadConverter.fromPayload<Inheritance>(results[0]!);
    const { runId } = readThen.estates[0]!;
    const reader = new RunHistories(client as unknown as Client, 'default');
    expect(await reader.inheritance('heir', runId)).toEqual(readThen);
  }
});

it('the stored histories are small and name no machine', () => {
  const texts = files.map((file) => readFileSync(`${HISTORIES}${file}`, 'utf8'));
  for (const text of texts) {
    expect(text.length).toBeLessThan(50_000);
    expect(text).not.toMatch(/\d+@|"\/(home|root|tmp|Users)\/|stackTrace":"[^"]/);
  }
});
