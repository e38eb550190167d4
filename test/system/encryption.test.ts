import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { expect, it } from 'vitest';
import { BATCHER, BATCHER_FORMAT } from '../../src/protocol/batcher.js';
import { encryptionCodec, type EncryptionKeys } from '../../src/temporal/payloadCodec.js';
import { settings } from '../support/chunks.js';
import { Daemon, ktb } from '../support/daemon.js';
import { newKey } from '../support/encryption.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
let fixture: Fixture;

const k1 = newKey();
const k2 = newKey();
const both = { k1, k2 };

interface Encryption extends EncryptionKeys {
  readonly required?: boolean;
}

/** The configuration of a daemon that encrypts so. */
const config = (encryption?: Encryption): string => fixture.config({}, encryption === undefined ? {} : { encryption });

async function create(options: FixtureOptions = {}): Promise<void> {
  fixture = await Fixture.create(stack(), options);
  await fixture.collectAcks();
}

it('is switched on, its key changed, and off again, each time by a new process beside the old one, under load: nothing is lost, doubled or refused', async () => {
  await create({ pipeline: { batchers: 4, batch: { maxDelay: '200ms' } } });
  const load = steadyLoad(fixture, 500);
  const stages: (Encryption | undefined)[] = [
    undefined,
    { keys: { k1 } },
    { keys: { k1 }, active: 'k1' },
    { keys: { k1 }, active: 'k1', required: true },
    { keys: both, active: 'k1', required: true },
    { keys: both, active: 'k2', required: true },
    { keys: both, active: 'k2' },
    { keys: both },
  ];
  let before: Daemon | undefined;
  for (const stage of stages) {
    const daemon = await Daemon.start(config(stage));
    const acks = acknowledged(fixture.acks);
    await before?.stop();
    await eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan(acks + 700));
    expect(await daemon.metric('ktb_refused_signals_total')).toBe(0);
    expect(await daemon.metric('ktb_missing_keys_total')).toBe(0);
    before = daemon;
  }
  await load.stop();
  await expectExactlyOnce(fixture);
}, 300_000);

it('on the way back a drained batcher begins anew with nothing encrypted: then no process needs the keys', async () => {
  await create({ partitions: 1, pipeline: { batchers: 1, batch: { maxDelay: '200ms' } } });
  const { name } = fixture;
  const on = await Daemon.start(config({ keys: { k1 }, active: 'k1', required: true }));
  await fixture.produce(50);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(50));
  await on.stop();
  const off = await Daemon.start(config({ keys: { k1 } }));
  // The batcher still requires encryption, and nobody has told it otherwise.
  expect((await ktb(config({ keys: { k1 } }), ['drain', '--pipeline', name, '--reason', 'off'])).code).toBe(0);
  await eventually(async () => expect((await fixture.batcher(0).describe()).status.name).toBe('COMPLETED'));
  await fixture.produce(50);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(100));
  expect(await off.metric('ktb_refused_signals_total')).toBe(0);
  await off.stop();
  await Daemon.start(config());
  await fixture.produce(50);
  await expectExactlyOnce(fixture);
}, 180_000);

it('a worker without the key holds, says which key it lacks, and drops nothing', async () => {
  await create({ pipeline: { batchers: 2 } });
  const encrypting = await Daemon.start(config({ keys: both, active: 'k2', required: true }), ['--role', 'consumer']);
  await fixture.produce(200);
  const without: (Encryption | undefined)[] = [{ keys: { k2: k1 } }, undefined];
  for (const lacking of without) {
    const worker = await Daemon.start(config(lacking), ['--role', 'worker']);
    await eventually(async () => expect(await worker.metric('ktb_missing_keys_total')).toBeGreaterThan(0));
    expect(worker.output).toMatch(/encrypted with key k2:[0-9a-f]{8}/);
    await sleep(1_000);
    await worker.stop();
  }
  expect(acknowledged(fixture.acks)).toBe(0);
  await Daemon.start(config({ keys: both, active: 'k1' }), ['--role', 'worker']);
  await expectExactlyOnce(fixture);
  await encrypting.stop();
}, 240_000);

it('what somebody without the key sends, or moves from another batcher, is refused, counted, and in no table', async () => {
  await create({ partitions: 1, pipeline: { batchers: 2 }, payloadCodecs: [encryptionCodec({ keys: { k1 } })] });
  const daemon = await Daemon.start(config({ keys: { k1 }, active: 'k1', required: true }));
  await fixture.produce(20);
  await expectExactlyOnce(fixture);

  // Whoever may read and write the namespace sees the chunks of the other batcher, and can send them.
  const { connection } = fixture.temporal;
  const stranger = new Client({ connection });
  const { history } = await connection.workflowService.getWorkflowExecutionHistory({
    namespace: 'default',
    execution: { workflowId: fixture.batcher(1).workflowId },
  });
  const signals =
    history?.events?.flatMap(({ workflowExecutionSignaledEventAttributes: signal }) => signal ?? []) ?? [];
  const moved = signals.find(({ signalName }) => signalName === 'records')?.input?.payloads ?? [];
  const send = (payloads: Payload[]) =>
    connection.workflowService.signalWorkflowExecution({
      namespace: 'default',
      workflowExecution: { workflowId: fixture.batcher(0).workflowId },
      signalName: 'records',
      input: { payloads },
    });
  const [meta, body] = moved;
  await send([...moved]);
  await send([
    { ...meta, metadata: { ...meta?.metadata, 'ktb-workflow': Buffer.from(fixture.batcher(0).workflowId) } },
    body!,
  ]);
  const request = { format: 'ktb-request/1', id: 'r', requester: 'nobody', value: '{"id":1000,"text":"forged"}' };
  await stranger.workflow.getHandle(fixture.batcher(0).workflowId).signal('submit', request);
  await stranger.workflow.getHandle(fixture.batcher(0).workflowId).signal('pause', { actor: 'x', reason: 'y' });

  const letters = await fixture.deadLetters(4);
  expect(letters).toHaveLength(4);
  await eventually(async () => expect(await daemon.metric('ktb_refused_signals_total')).toBe(4));
  await fixture.produce(20);
  await expectExactlyOnce(fixture);
  expect(await fixture.batcherStatus(0)).toMatchObject({ paused: false, counters: { foreignSignals: 4 } });
  await daemon.stop();

  // What a consumer without the key sends would be refused, too, with its offsets committed. So it sends nothing.
  // No worker runs that could tell.
  const encrypted = config({ keys: { k1 }, active: 'k1', required: true });
  const keyless = Daemon.launch(config(), ['--role', 'consumer']);
  await fixture.produce(20);
  await eventually(() => expect(keyless.output).toContain('is not read, because its batchers encrypt'));
  const found = await ktb(config(), ['check', '--json']);
  expect(found).toMatchObject({
    code: 1,
    output: expect.stringContaining('has what cannot be read') as string,
  });
  expect(await keyless.stop()).toBe(0);
  await Daemon.start(encrypted);
  await expectExactlyOnce(fixture);
  const all = await ktb(encrypted, ['check', '--json']);
  for (const said of ['cannot be read', 'takes only what is encrypted']) expect(all.output).not.toContain(said);
  const onlyReads = await ktb(config({ keys: { k1 } }), ['check', '--json']);
  expect(onlyReads).toMatchObject({
    code: 1,
    output: expect.stringContaining('takes only what is encrypted') as string,
  });
}, 240_000);

it('a batcher that somebody without the key has started, with rows in it, inserts none of them', async () => {
  await create({ partitions: 1, pipeline: { batchers: 1 }, payloadCodecs: [encryptionCodec({ keys: { k1 } })] });
  const plain = await Daemon.start(config());
  await fixture.produce(10);
  await expectExactlyOnce(fixture);
  await plain.stop();
  const stranger = new Client({ connection: fixture.temporal.connection });
  const request = { format: 'ktb-request/1', id: 'r', requester: 'nobody', value: '{"id":1000,"text":"forged"}' };
  await stranger.workflow.getHandle(fixture.batcher(0).workflowId).signal('submit', request);

  const daemon = await Daemon.start(config({ keys: { k1 }, active: 'k1', required: true }));
  await eventually(() => expect(daemon.output).toContain('settings of the batcher came unencrypted'));
  await fixture.batcher(0).terminate('an heir has the right settings');
  await eventually(() => expect(daemon.output).toContain('1 records of the batch came unencrypted'));
  expect(await fixture.rowCounts()).toMatchObject({ rows: 10 });
  await daemon.stop();
  // It might also be a row that came before encryption was required.
  await Daemon.start(config({ keys: { k1 }, active: 'k1' }));
  await eventually(async () => expect(await fixture.rowCounts()).toMatchObject({ rows: 11 }));
}, 180_000);

it('a batcher that somebody without the key has started in place of another one takes over what that had, and sends nothing elsewhere', async () => {
  await create({ partitions: 1, pipeline: { batchers: 1 } });
  const encrypted = config({ keys: { k1 }, active: 'k1', required: true });
  const consumer = await Daemon.start(encrypted, ['--role', 'consumer']);
  await fixture.produce(20);
  const batcher = fixture.batcher(0);
  await eventually(async () => expect((await batcher.describe()).historyLength).toBeGreaterThan(2));
  const { destination, ...others } = { ...settings(), pipeline: fixture.name };
  const elsewhere = { ...destination, table: 'elsewhere', deadLetterTopic: fixture.topic };
  const input = { format: BATCHER_FORMAT, settings: { ...others, destination: elsewhere } };
  await batcher.terminate('in its place');
  await new Client({ connection: fixture.temporal.connection }).workflow.start(BATCHER.workflowType, {
    workflowId: batcher.workflowId,
    taskQueue: fixture.name,
    args: [input, new Uint8Array(0)],
  });
  await batcher.signal('not of ktb', 'x');
  await fixture.produce(20);
  const worker = await Daemon.start(encrypted, ['--role', 'worker']);
  await expectExactlyOnce(fixture);
  expect(await worker.metric('ktb_lost_batches_total')).toBe(0);
  await consumer.stop();
}, 180_000);
