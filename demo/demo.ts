/**
 * The demo: real Kafka, Temporal and ClickHouse, the bridge between them as its users run it, and two public data sets
 * that go through it. It reads from top to bottom; at the end every record is accounted for.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, type ClickHouseClient } from '@clickhouse/client';
import { Command, InvalidArgumentError } from 'commander';
import { Kafka, logLevel, type Admin, type Consumer, type Producer } from 'kafkajs';
import { reportProgress, startStack, type Stack } from '../stack/index.js';
import { Bridge } from './bridge.js';
import { earthquakes, flights, sendingOrder, type Dataset } from './datasets.js';
import { Ending } from './ending.js';
import { judge, Ledger, type Verdict } from './ledger.js';
import { count, countTable, followProgress, grouped, heading, paint, printIndented, verdictLines } from './screen.js';

const RECORDS_MAX = 5_000_000;
/** Header of a record with its number. The pipelines copy it into the acknowledgement: `reply.copyHeaders` in ktb.yaml. */
const ID_HEADER = 'demo-id';
/** kafkajs groups the messages of a request by partition, in a time that grows with their square. */
const REQUEST_MESSAGES_MAX = 500;
/** We wait this long for second acknowledgements. */
const REPEATS_WITHIN_MS = 500;

/** One data set on its way through the pipeline of its name, and what was seen of it. */
interface Flow {
  readonly dataset: Dataset;
  readonly ledger: Ledger;
}

const program = new Command('npm run demo --')
  .description(
    'Starts Kafka, Temporal and ClickHouse, sends flights and earthquakes through\n' +
      'the bridge, and counts: is every record one row and one acknowledgement?\n' +
      'Then stops everything. The first run on a machine downloads what it needs,\n' +
      'which takes minutes.',
  )
  .option('--records <count>', 'flights to send', toRecords, 200_000)
  .option('--keep', 'leave everything running at the end, until Ctrl-C')
  .addHelpText('after', '\nExit codes: 0 passed, 1 a record was lost or doubled, or something failed, 130 Ctrl-C.')
  .parse();

const ending = new Ending();
process.exit(await ending.after(() => demo(program.opts<{ records: number; keep?: true }>())));

/** Whether every record was accounted for. */
async function demo({ records, keep }: { records: number; keep?: true }): Promise<boolean> {
  const flows = [flights(records), earthquakes()].map((dataset) => ({ dataset, ledger: new Ledger(dataset) }));
  console.log(
    `\n${paint('kafka-temporal-bridge', 'bold')}: each Kafka record becomes one row in ClickHouse, and is acknowledged.\n` +
      `This demo sends ${flows.map(({ dataset: { records, name } }) => `${grouped(records)} ${name}`).join(' and ')}, and counts.`,
  );

  heading('1. Start Kafka, Temporal and ClickHouse');
  const stack = await startParts();
  const bridge = await Bridge.create(stack, (error) => ending.fail(error));
  ending.add('the bridge', () => bridge.close());
  const { clickhouse, admin, producer, consumer } = await connect(stack);

  heading('2. Create tables and topics');
  await createTables(clickhouse);
  printIndented(['the tables of demo/tables.sql', paint(`$ ${bridge.commandLine('setup')}`, 'dim')]);
  printIndented([await bridge.command('setup', ending.signal)]);

  heading('3. Start the bridge');
  printIndented([paint(`$ ${bridge.commandLine('run')}`, 'dim')]);
  await bridge.startDaemon(ending.signal);
  printIndented([`ready: ${bridge.url}/readyz`]);

  const bad = flows.reduce((sum, { dataset }) => sum + dataset.badRecords, 0);
  const total = flows.reduce((sum, { dataset }) => sum + dataset.records, bad);
  heading(`4. Send ${count(total, 'record')} at full speed, ${bad} bad ones among them`);
  await readAcks(consumer, flows);
  const startedAtMs = performance.now();
  const sent = Promise.all(flows.map((flow) => send(producer, flow))).catch((error: unknown) => ending.fail(error));
  const complete = await followProgress(total, () => progressOf(flows), ending.signal);
  const elapsedMs = performance.now() - startedAtMs;
  await sent;

  heading('5. Compare what was produced with the rows and the acknowledgements, record by record');
  await sleep(REPEATS_WITHIN_MS, undefined, { signal: ending.signal });
  const verdicts = await Promise.all(flows.map((flow) => compare(flow, clickhouse, admin)));
  const passed = verdicts.every(({ problems }) => problems.length === 0);
  printIndented([countTable(verdicts), '', ...verdictLines(verdicts)]);
  if (complete) {
    const rate = paint(`${grouped((total / elapsedMs) * 1_000)} records/s`, 'bold');
    printIndented([`${rate} from producer to acknowledgement, from a cold start, all on this machine`]);
  }
  printRejections(flows);

  if (passed) await showTables(clickhouse);
  else printIndented(["The end of the daemon's log:", await bridge.logTail()]);
  if (keep) await keepRunning(stack, bridge);
  else showNextCommands();
  return passed;
}

/** The first start on a machine downloads and builds the parts, and shows how far it is. */
async function startParts(): Promise<Stack> {
  const reporter = reportProgress(process.stdout);
  ending.signal.addEventListener('abort', () => reporter.close());
  try {
    const stack = await startStack({ ui: true, onProgress: reporter.onProgress, signal: ending.signal });
    ending.add('the stack', () => stack.stop());
    return stack;
  } finally {
    reporter.close();
  }
}

/** Clients that look at the parts from outside, as those of a user do. */
async function connect({ kafka: { brokers }, clickhouse: { url } }: Stack) {
  const clickhouse = createClient({ url });
  ending.add("the demo's ClickHouse client", () => clickhouse.close());
  const kafka = new Kafka({ clientId: 'demo', brokers: [...brokers], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  // Idempotent: kafkajs repeats a request that failed for one partition for all of them, and those of a new topic do fail.
  const producer = kafka.producer({ allowAutoTopicCreation: false, idempotent: true });
  const consumer = kafka.consumer({ groupId: 'demo-acks', allowAutoTopicCreation: false, maxWaitTimeInMs: 200 });
  for (const client of [admin, producer, consumer]) {
    ending.add("a Kafka client of the demo's", () => client.disconnect());
    await client.connect();
  }
  return { clickhouse, admin, producer, consumer };
}

async function createTables(clickhouse: ClickHouseClient): Promise<void> {
  const statements = readFileSync(new URL('./tables.sql', import.meta.url), 'utf8').split(';');
  for (const query of statements.filter((statement) => statement.trim() !== '')) await clickhouse.command({ query });
}

/** Enters acknowledgements in the ledgers, from now until the consumer is disconnected. */
async function readAcks(consumer: Consumer, flows: readonly Flow[]): Promise<void> {
  const ledgers = new Map(flows.map(({ dataset: { name }, ledger }) => [`${name}.replies`, ledger]));
  consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
    if (!restart) ending.fail(error);
  });
  await consumer.subscribe({ topics: [...ledgers.keys()], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: ({ batch: { topic, messages } }) => {
      for (const { value, headers } of messages) {
        const ack = JSON.parse(value?.toString() ?? '{}') as { status: string; code?: string; message?: string };
        ledgers.get(topic)?.acknowledge(Number(headers?.[ID_HEADER]?.toString()), ack);
      }
      return Promise.resolve();
    },
  });
}

/** Produces a whole data set, as fast as Kafka takes it. */
async function send(producer: Producer, { dataset, ledger }: Flow): Promise<void> {
  const order = sendingOrder(dataset);
  for (let at = 0; at < order.length; at += REQUEST_MESSAGES_MAX) {
    ending.signal.throwIfAborted();
    const indexes = order.slice(at, at + REQUEST_MESSAGES_MAX);
    const messages = indexes.map((index) => ({ ...dataset.record(index), headers: { [ID_HEADER]: String(index) } }));
    await producer.send({ topic: dataset.name, messages });
    for (const index of indexes) ledger.sent.add(index);
  }
}

function progressOf(flows: readonly Flow[]): { produced: number; acknowledged: number } {
  const sum = (of: (ledger: Ledger) => number): number => flows.reduce((total, { ledger }) => total + of(ledger), 0);
  return { produced: sum(({ sent }) => sent.distinct), acknowledged: sum(({ answered }) => answered) };
}

/** Reads back every row and counts the dead letters, and compares them with what was sent and acknowledged. */
async function compare({ dataset, ledger }: Flow, clickhouse: ClickHouseClient, admin: Admin): Promise<Verdict> {
  const { name } = dataset;
  const ids = await clickhouse.query({ query: `SELECT id FROM ${name}`, format: 'TabSeparated' });
  for await (const rows of ids.stream()) {
    for (const { text } of rows) ledger.rows.add(dataset.indexOfRow(text));
  }
  const query = `SELECT count() - uniqExact(_topic, _partition, _epoch, _offset) AS excess FROM ${name}`;
  const [counts] = await (await clickhouse.query({ query, format: 'JSONEachRow' })).json<{ excess: string }>();
  const deadLetters = await admin.fetchTopicOffsets(`${name}.dead-letters`);
  return judge(dataset, ledger, {
    sameIdentity: Number(counts?.excess),
    deadLetters: deadLetters.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0),
  });
}

/** What producers of bad records were told; the records themselves are on the dead-letter topics. */
function printRejections(flows: readonly Flow[]): void {
  for (const { dataset, ledger } of flows) {
    const reasons = ledger.rejections.map(({ code, message }) => `- ${code}: ${message.slice(0, 100)}`);
    if (reasons.length > 0)
      printIndented(['', `Rejected, and kept on the topic ${dataset.name}.dead-letters:`, ...reasons]);
  }
}

/** Shows what can now be asked of ClickHouse, in its own words. */
async function showTables(clickhouse: ClickHouseClient): Promise<void> {
  heading('In ClickHouse now');
  const queries = [
    `SELECT origin AS airport, count() AS flights, round(avg(delay), 1) AS minutes_late, bar(flights, 0, max(flights) OVER (), 30) AS busiest
FROM flights GROUP BY origin ORDER BY flights DESC LIMIT 5`,
    'SELECT happened_at, magnitude, place FROM earthquakes ORDER BY magnitude DESC LIMIT 5',
  ];
  for (const query of queries) {
    const answer = await clickhouse.exec({
      query: `${query} FORMAT PrettyCompact`,
      clickhouse_settings: { output_format_pretty_color: 0, output_format_pretty_row_numbers: 0 },
    });
    printIndented([paint(query, 'dim')]);
    printIndented([
      Buffer.concat(await answer.stream.toArray())
        .toString()
        .trimEnd(),
      '',
    ]);
  }
}

/** Says where everything is, and waits until it is to end: for Ctrl-C, or until something fails. */
async function keepRunning(stack: Stack, bridge: Bridge): Promise<void> {
  heading('Everything keeps running until Ctrl-C');
  printIndented([
    `Temporal UI  ${stack.temporal.uiUrl ?? 'not available'}`,
    `Batchers     ${bridge.commandLine('status')}`,
    `ClickHouse   curl '${stack.clickhouse.url}' -d 'SELECT * FROM flights LIMIT 2 FORMAT Vertical'`,
    `Metrics      curl ${bridge.url}/metrics`,
    `Kafka        ${stack.kafka.brokers.join(',')}`,
  ]);
  await ending.asked();
}

function showNextCommands(): void {
  heading('Go on');
  printIndented([
    "npm run demo -- --keep             keeps it all running: Temporal's UI, ClickHouse, status",
    'npm run demo -- --records 1000000  sends more',
    'demo/ktb.yaml, demo/tables.sql     all that was configured for this',
    'node dist/cli.js --help            the command line; installed, it is called ktb',
    '',
  ]);
}

function toRecords(text: string): number {
  const records = Number(text.replaceAll(/[_,]/g, ''));
  if (!Number.isInteger(records) || records < 1 || records > RECORDS_MAX)
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${RECORDS_MAX}.`);
  return records;
}
