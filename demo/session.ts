import { createClient, type ClickHouseClient } from '@clickhouse/client';
import { Kafka, logLevel, type Admin, type Producer } from 'kafkajs';
import type { PipelineConfig } from '../src/config/config.js';
import { loadConfig } from '../src/config/load.js';
import { createPartitioner } from '../src/kafka/publisher.js';
import { reportProgress, startStack, type Stack } from '../stack/index.js';
import { AckLedger } from './ackLedger.js';
import { consumeAcks } from './acks.js';
import type { Bridge } from './bridge.js';
import type { Cleanup } from './cleanup.js';
import { createTables } from './database.js';
import type { Dataset } from './datasets.js';
import { DemoError } from './demoError.js';
import { closeOnce, heading, paint, printIndented } from './output.js';
import { duration } from './text.js';

/** One data set on its way through one pipeline. */
export interface Flow {
  readonly dataset: Dataset;
  readonly pipeline: PipelineConfig;
  readonly ledger: AckLedger;
}

/** Everything that is up, and the clients to look at it from outside: what a user of the bridge has. */
export interface Session {
  readonly stack: Stack;
  readonly bridge: Bridge;
  readonly flights: Flow;
  readonly earthquakes: Flow;
  readonly admin: Admin;
  readonly producer: Producer;
  readonly clickhouse: ClickHouseClient;
  /** Aborted by Ctrl-C, and when the daemon or the consumer of the acknowledgements has failed for good. */
  readonly signal: AbortSignal;
}

const CLOSE_WITHIN_MS = 10_000;
const STOP_WITHIN_MS = 60_000;

/** Starts Kafka, Temporal (with its web UI) and ClickHouse. */
export async function startParts(signal: AbortSignal, cleanup: Cleanup): Promise<Stack> {
  heading('1. Start Kafka, Temporal and ClickHouse');
  const reporter = reportProgress(process.stdout);
  const close = closeOnce(reporter, signal);
  try {
    const stack = await startStack({ ui: true, onProgress: reporter.onProgress, signal });
    cleanup.add('the stack', STOP_WITHIN_MS, () => stack.stop());
    // It starts to the end when Ctrl-C comes late.
    signal.throwIfAborted();
    return stack;
  } finally {
    close();
  }
}

/** Creates topics and tables, and starts the daemon and the consumer of the acknowledgements. */
export async function openSession(
  { stack, bridge }: { readonly stack: Stack; readonly bridge: Bridge },
  datasets: { readonly flights: Dataset; readonly earthquakes: Dataset },
  interrupted: AbortSignal,
  cleanup: Cleanup,
): Promise<Session> {
  const { pipelines } = loadConfig(bridge.configFile, {});
  const failure = new AbortController();
  const signal = AbortSignal.any([interrupted, bridge.failed, failure.signal]);
  const flights = flowOf(datasets.flights, pipelines);
  const earthquakes = flowOf(datasets.earthquakes, pipelines);

  const clickhouse = createClient({ url: stack.clickhouse.url });
  cleanup.add("the demo's ClickHouse client", CLOSE_WITHIN_MS, () => clickhouse.close());
  const kafka = new Kafka({ clientId: 'demo', brokers: [...stack.kafka.brokers], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  cleanup.add("the demo's Kafka admin client", CLOSE_WITHIN_MS, () => admin.disconnect());
  await admin.connect();
  // Idempotent: kafkajs repeats a request that failed for one partition for all of them, and a new topic's do fail.
  const producer = kafka.producer({ allowAutoTopicCreation: false, createPartitioner, idempotent: true });
  cleanup.add("the demo's producer", CLOSE_WITHIN_MS, () => producer.disconnect());
  await producer.connect();

  heading('2. Create tables and topics');
  await createTables(clickhouse);
  printIndented(['the tables of demo/tables.sql']);
  await runCommand(bridge, signal, 'setup');

  heading('3. Start the bridge');
  printIndented([paint(`$ ${bridge.commandLine('run')}`, 'dim')]);
  const startedAtMs = performance.now();
  await bridge.startDaemon(signal);
  printIndented([`ready after ${duration(performance.now() - startedAtMs)}`]);
  const acks = kafka.consumer({ groupId: 'demo-acks', allowAutoTopicCreation: false, maxWaitTimeInMs: 200 });
  cleanup.add("the demo's consumer", CLOSE_WITHIN_MS, () => acks.disconnect());
  const ledgers = new Map([flights, earthquakes].map(({ pipeline, ledger }) => [replyTopicOf(pipeline), ledger]));
  await consumeAcks(acks, ledgers, (error) => failure.abort(error), signal);
  return { stack, bridge, flights, earthquakes, admin, producer, clickhouse, signal };
}

/** Runs one of the bridge's commands, and shows it with what it prints. */
async function runCommand(bridge: Bridge, signal: AbortSignal, ...args: readonly string[]): Promise<void> {
  printIndented([paint(`$ ${bridge.commandLine(...args)}`, 'dim')]);
  printIndented((await bridge.command(signal, ...args)).split('\n'));
}

function flowOf(dataset: Dataset, pipelines: readonly PipelineConfig[]): Flow {
  const pipeline = pipelines.find(({ name }) => name === dataset.name);
  if (pipeline === undefined) throw new DemoError(`demo/ktb.yaml has no pipeline ${dataset.name}.`);
  return { dataset, pipeline, ledger: new AckLedger(dataset.records + dataset.badRecords) };
}

function replyTopicOf({ name, settings }: PipelineConfig): string {
  const { reply } = settings.destination;
  if (reply === undefined) throw new DemoError(`The pipeline ${name} of demo/ktb.yaml has no reply topic.`);
  return reply.topic;
}
