import { fileURLToPath } from 'node:url';
import {
  bundleWorkflowCode,
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type WorkflowBundle,
} from '@temporalio/worker';
import type { WorkflowFailedError } from '@temporalio/client';
import type { ActivityFailure, PayloadCodec } from '@temporalio/common';
import { beforeAll, expect, it } from 'vitest';
import { encryptionCodec } from '../../src/temporal/payloadCodec.js';
import { Daemon } from '../support/daemon.js';
import { newKey } from '../support/encryption.js';
import { eventually } from '../support/eventually.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { requestWithPython } from '../support/pythonRequester.js';
import type { requester } from '../support/requesterWorkflows.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const REQUESTERS = fileURLToPath(new URL('../support/requesterWorkflows.ts', import.meta.url));
let requesters: WorkflowBundle;
let fixture: Fixture;
let daemon: Daemon;

beforeAll(async () => {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
  });
  requesters = await bundleWorkflowCode({ workflowsPath: REQUESTERS, logger: new DefaultLogger('ERROR') });
});

async function start(options: FixtureOptions = {}): Promise<void> {
  fixture = await Fixture.create(stack(), options);
  daemon = await Daemon.start(fixture.config());
}

/** A worker of requesters, for the time of a test. */
async function withRequesters(test: () => Promise<void>, payloadCodecs: PayloadCodec[] = []): Promise<void> {
  const connection = await NativeConnection.connect({ address: stack().temporal.address });
  try {
    const taskQueue = `${fixture.name}.requesters`;
    const dataConverter = { payloadCodecs };
    const worker = await Worker.create({ connection, taskQueue, workflowBundle: requesters, dataConverter });
    await worker.runUntil(test);
  } finally {
    await connection.close();
  }
}

const submit = (id: number, row: Readonly<Record<string, unknown>> | string = { id, text: `row ${id}` }) =>
  fixture.temporal.workflow.start<typeof requester>('requester', {
    workflowId: `${fixture.name}-requester-${id}`,
    taskQueue: `${fixture.name}.requesters`,
    args: [row, { pipeline: fixture.name, taskQueue: fixture.name, id: `row-${id}`, key: `key-${id % 7}` }],
  });

it('a workflow’s row goes the way of Kafka’s records, beside them, and its workflow is told', async () => {
  await start({ pipeline: { batchers: 2 } });
  await withRequesters(async () => {
    // Nothing of Kafka has started a batcher yet.
    const first = await (await submit(1_000_001, '{"id":9007199254740993,"text":"exact"}')).result();
    expect(first).toMatchObject({ status: 'inserted', topic: expect.stringMatching(/^ktb:.*:2-key:[01]$/) as string });
    const { topic, partition, offset, epoch } = first;
    const rows = await fixture.query(
      `SELECT toString(id) AS id, text, _topic AS topic, toUInt32(_partition) AS partition, toUInt32(_offset) AS offset, _epoch AS epoch, _key AS key FROM ${fixture.table}`,
    );
    expect(rows).toEqual([{ id: '9007199254740993', text: 'exact', topic, partition, offset, epoch, key: 'key-2' }]);

    const handles = await Promise.all(Array.from({ length: 20 }, (_, id) => submit(2_000_000 + id)));
    await fixture.produce(1_000);
    for (const handle of handles) expect((await handle.result()).status).toBe('inserted');
    const bad = await submit(3, { id: 3, text: 'x', _offset: 1 });
    const failure: unknown = await bad.result().catch((error: unknown) => error);
    expect((failure as WorkflowFailedError).cause).toMatchObject({ type: 'RowRejected' });
    await eventually(async () => {
      const counts = await fixture.rowCounts();
      expect(counts).toEqual({ rows: 1_021, identities: 1_021, ids: 1_021 });
    });
    expect(await daemon.metric('ktb_confirmations_total', { outcome: 'delivered' })).toBe(22);
    expect(await daemon.metric('ktb_dead_letters_total')).toBe(0);
  });
});

it('requests outlive the daemon’s SIGKILL and their batcher’s end: each is one row, and its workflow is told', async () => {
  await start({ pipeline: { batchers: 1, batch: { maxDelay: '3s' } } });
  await withRequesters(async () => {
    const handles = await Promise.all(Array.from({ length: 10 }, (_, id) => submit(id)));
    await eventually(async () => expect((await fixture.batcherStatus(0)).bufferedRecords).toBeGreaterThan(0));
    await daemon.kill();
    // What it had accepted is in its history only; an heir takes it over.
    await fixture.batcher(0).terminate();
    daemon = await Daemon.start(fixture.config());
    handles.push(...(await Promise.all(Array.from({ length: 10 }, (_, id) => submit(10 + id)))));
    for (const handle of handles) expect((await handle.result()).status).toBe('inserted');
    expect(await fixture.rowCounts()).toEqual({ rows: 20, identities: 20, ids: 20 });
    const { rememberedRequests, unconfirmed } = await fixture.batcherStatus(0);
    expect({ rememberedRequests, unconfirmed }).toEqual({ rememberedRequests: 20, unconfirmed: 0 });
  });
});

it('a requester in Python speaks by the same signals', async () => {
  await start();
  const confirmations = await requestWithPython(
    {
      address: stack().temporal.address,
      pipeline: fixture.name,
      taskQueue: fixture.name,
      values: ['{"id": 1, "text": "from Python"}', 'not json', '{"id": 2, "text": "é"}'],
    },
    ({ step, state }) => process.stderr.write(step.includes('install') ? `${step} ${state}\n` : ''),
  );
  expect(confirmations).toMatchObject([
    { status: 'inserted', format: 'ktb-confirmation/1' },
    { status: 'rejected', code: 'not_json', message: 'the value is not JSON' },
    { status: 'inserted' },
  ]);
  expect(await fixture.query(`SELECT text FROM ${fixture.table} ORDER BY id`)).toEqual([
    { text: 'from Python' },
    { text: 'é' },
  ]);
}, 600_000);

it('requesters in TypeScript and Python encrypt with the same keys, and ktb takes nothing else', async () => {
  const encryption = { keys: { k1: newKey() }, active: 'k1' };
  const payloadCodecs = [encryptionCodec(encryption)];
  const { address } = stack().temporal;
  fixture = await Fixture.create(stack(), { payloadCodecs });
  daemon = await Daemon.start(fixture.config({}, { encryption: { ...encryption, required: true } }));
  await withRequesters(async () => {
    expect((await (await submit(1)).result()).status).toBe('inserted');
    const bad: unknown = await (
      await submit(2, { id: 2, text: 'x', _offset: 1 })
    )
      .result()
      .catch((error: unknown) => error);
    expect((bad as WorkflowFailedError).cause).toMatchObject({ type: 'RowRejected' });
  }, payloadCodecs);
  const { name } = fixture;
  const values = ['{"id": 3, "text": "from Python"}', 'not json'];
  const confirmations = await requestWithPython({ address, pipeline: name, taskQueue: name, values, encryption });
  expect(confirmations).toMatchObject([{ status: 'inserted' }, { status: 'rejected', code: 'not_json' }]);
  expect(await fixture.query(`SELECT text FROM ${fixture.table} ORDER BY id`)).toEqual([
    { text: 'row 1' },
    { text: 'from Python' },
  ]);
  expect(await daemon.metric('ktb_refused_signals_total')).toBe(0);
}, 600_000);

it('a workflow of somebody without the key has no activity done where encryption is required', async () => {
  const encryption = { keys: { k1: newKey() }, active: 'k1' };
  const payloadCodecs = [encryptionCodec({ keys: encryption.keys })];
  const stranger = async (): Promise<unknown> => {
    let cause: unknown;
    // Its client and its worker encrypt nothing. That they can read is only for this test.
    await withRequesters(async () => {
      const run = await fixture.temporal.workflow.start('stranger', {
        workflowId: `${fixture.name}-stranger`,
        taskQueue: `${fixture.name}.requesters`,
        args: [fixture.name],
      });
      cause = await run.result().then(
        () => 'done',
        (error: unknown) => ((error as WorkflowFailedError).cause as ActivityFailure).cause,
      );
    }, payloadCodecs);
    return cause;
  };
  fixture = await Fixture.create(stack(), { payloadCodecs });
  daemon = await Daemon.start(fixture.config({}, { encryption: { ...encryption, required: true } }));
  expect(await stranger()).toMatchObject({ type: 'NotEncrypted' });
  expect(await daemon.metric('ktb_refused_activities_total')).toBe(2);
  await daemon.stop();
  daemon = await Daemon.start(fixture.config({}, { encryption }));
  expect(await stranger()).toBe('done');
}, 120_000);
