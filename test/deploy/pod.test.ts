import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@clickhouse/client';
import { Kafka, logLevel } from 'kafkajs';
import { expect, it, onTestFinished } from 'vitest';
import { pickPorts } from '../../stack/ports.js';
import { eventually } from '../support/eventually.js';
import { useStack } from '../support/useStack.js';
import { all, ciFile, one, render, type Manifest } from './support/chart.js';
import { ContainerProcess } from './support/containerProcess.js';
import { containerOf, placeBelow, type Contents } from './support/pod.js';

const RECORDS = 1_000;
const TEST_MS = 300_000;

const stack = useStack({ tls: true });

/** The Secrets and the ConfigMap that ci/tls-values.yaml names, with what the stack asks for. */
function inTheCluster(): Contents {
  const { tls } = stack();
  if (tls === undefined) throw new Error('the stack has no TLS');
  const text = (path: string): string => readFileSync(path, 'utf8');
  const password = text(tls.passwordFile).trim();
  const client = { 'tls.crt': text(tls.cert), 'tls.key': text(tls.key) };
  const ca = { 'ca.crt': text(tls.ca) };
  return {
    'ktb-kafka': { username: tls.username, password },
    'kafka-ca': ca,
    'ktb-kafka-tls': client,
    'ktb-temporal-tls': { ...ca, ...client },
    'ktb-clickhouse': { password },
    'company-ca': ca,
  };
}

it(
  'what the chart renders for TLS everywhere sets up, checks, and acknowledges every record',
  async () => {
    const { tls, kafka: plain, clickhouse: table } = stack();
    const [port = 0] = await pickPorts(1);
    const manifests = await render({
      files: [ciFile('tls-values.yaml')],
      values: {
        config: {
          kafka: { brokers: tls?.kafka.saslBrokers },
          temporal: { address: tls?.temporal.mutualAddress },
          clickhouse: { url: tls?.clickhouse.url },
          http: { listen: `0.0.0.0:${port}` },
        },
        setup: { enabled: true, fromSample: 1000 },
        check: { enabled: true },
      },
    });
    const start = async (workload: Manifest): Promise<ContainerProcess> => {
      const directory = await mkdtemp(join(tmpdir(), 'ktb-pod-'));
      const started = new ContainerProcess(
        await placeBelow(directory, containerOf(workload, manifests, inTheCluster())),
      );
      onTestFinished(async () => {
        await started.stop();
        await rm(directory, { recursive: true });
      });
      return started;
    };
    const once = (component: string): Manifest => {
      const found = [...all(manifests, 'Job'), ...all(manifests, 'Pod')].find(
        ({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === component,
      );
      if (found === undefined) throw new Error(`there is no Job or pod ${component}`);
      return found;
    };
    const runOnce = async (component: string): Promise<{ code: number | null; output: string }> => {
      const running = await start(once(component));
      return { code: await running.ended, output: running.output };
    };

    // As the README has it: the topics come first, the table once there are records.
    const first = await runOnce('setup');
    expect(first.output).toContain('topic orders: created with 8 partitions');
    expect(first.code, first.output).toBe(1);

    const kafka = new Kafka({ brokers: [...plain.brokers], logLevel: logLevel.NOTHING });
    const producer = kafka.producer({ allowAutoTopicCreation: false });
    await producer.connect();
    const messages = Array.from({ length: RECORDS }, (_, id) => ({
      key: `customer-${id % 97}`,
      value: JSON.stringify({ id, customer: `customer-${id % 97}`, amount: id / 10 }),
    }));
    await producer.send({ topic: 'orders', messages });
    await producer.disconnect();
    const second = await runOnce('setup');
    expect(second.code, second.output).toBe(0);
    const checked = await runOnce('check');
    expect(checked.code, checked.output).toBe(0);

    const daemon = await start(one(manifests, 'Deployment'));
    await eventually(async () => {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`);
      expect(response.status, daemon.output).toBe(200);
    });
    const inserted = new Set<string>();
    const consumer = kafka.consumer({ groupId: 'test-acks', maxWaitTimeInMs: 100 });
    await consumer.connect();
    onTestFinished(() => consumer.disconnect());
    await consumer.subscribe({ topics: ['orders.replies'], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachMessage: ({ message }) => {
        const ack = JSON.parse(String(message.value)) as { status: string; partition: number; offset: number };
        if (ack.status === 'inserted') inserted.add(`${ack.partition}/${ack.offset}`);
        return Promise.resolve();
      },
    });
    await eventually(() => expect(inserted.size, daemon.output).toBe(RECORDS));
    const clickhouse = createClient({ url: table.url });
    onTestFinished(() => clickhouse.close());
    const result = await clickhouse.query({ query: 'SELECT count() AS rows FROM orders', format: 'JSONEachRow' });
    expect((await result.json<{ rows: string }>()).map(({ rows }) => Number(rows))).toEqual([RECORDS]);

    // `helm test`, beside the running pod.
    const tested = await runOnce('test');
    expect(tested.code, tested.output).toBe(0);
    expect(await daemon.stop(), daemon.output).toBe(0);
  },
  TEST_MS,
);
