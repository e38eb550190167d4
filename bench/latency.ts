import { setTimeout as sleep } from 'node:timers/promises';
import Table from 'cli-table3';
import { Kafka, logLevel } from 'kafkajs';
import type { Stack } from '../stack/index.js';
import { Backlog, benchMessage } from './backlog.js';
import { withBridge } from './bridge.js';
import { whileDrainerRuns } from './drain.js';

/** What a steady rate of records costs, and how long their acknowledgements take. */
export interface Latency {
  readonly variant: string;
  readonly recordsPerSecond: number;
  /** From before a record is produced until a consumer of the reply topic has its acknowledgement, sorted. */
  readonly milliseconds: readonly number[];
  readonly signalsPerSecond: number;
  readonly flushesPerSecond: number;
  /** CPU seconds a second. */
  readonly cpu: Readonly<Record<string, number>>;
}

const WARM_UP_SECONDS = 5;
const MEASURED_SECONDS = 20;
/** Records are produced in so many portions a second. */
const PORTIONS_PER_SECOND = 100;
const MAX_DELAY = '100ms';
const ANSWERED_WITHIN_MS = 60_000;

/** Measures one rate by a daemon of its own. */
export async function measureLatency(
  stack: Stack,
  { variant, rate, cli }: { readonly variant: string; readonly rate: number; readonly cli?: string },
): Promise<Latency> {
  const warmUp = rate * WARM_UP_SECONDS;
  const backlog = await Backlog.create(stack, warmUp + rate * MEASURED_SECONDS);
  const listen = `127.0.0.1:${METRICS_PORT}`;
  const options = { ...(cli === undefined ? {} : { cli }), listen, pipeline: { batch: { maxDelay: MAX_DELAY } } };
  const acks = await Acks.follow(stack, backlog);
  try {
    const measured = await withBridge(stack, backlog, options, (drainer) =>
      whileDrainerRuns(stack, drainer, async (usage) => {
        await acks.produce(0, warmUp, rate);
        const before = await counters(listen);
        usage.begin();
        await acks.produce(warmUp, rate * MEASURED_SECONDS, rate);
        const cpu = usage.perMillion(MEASURED_SECONDS * 1_000_000);
        const after = await counters(listen);
        await acks.untilAll(backlog.records);
        return {
          signalsPerSecond: (after.signals - before.signals) / MEASURED_SECONDS,
          flushesPerSecond: (after.flushes - before.flushes) / MEASURED_SECONDS,
          cpu,
        };
      }),
    );
    await backlog.remove();
    return { variant, recordsPerSecond: rate, milliseconds: acks.milliseconds(warmUp), ...measured };
  } finally {
    await acks.stop();
  }
}

/** Prints a line for each rate and variant. */
export function reportLatency(latencies: readonly Latency[]): void {
  const table = new Table({
    head: [`maxDelay ${MAX_DELAY}, 8 batchers`, 'records/s', 'p50 ms', 'p99', 'p99.9', 'signals/s', 'flushes/s', 'CPU'],
    style: { head: [], border: [] },
  });
  for (const { variant, recordsPerSecond, milliseconds, signalsPerSecond, flushesPerSecond, cpu } of latencies) {
    const parts = Object.entries(cpu).map(([name, seconds]) => `${name} ${seconds.toFixed(2)}`);
    table.push([
      variant,
      recordsPerSecond,
      ...[0.5, 0.99, 0.999].map((share) => Math.round(quantile(milliseconds, share))),
      signalsPerSecond.toFixed(1),
      flushesPerSecond.toFixed(1),
      parts.join(', '),
    ]);
  }
  console.log(table.toString());
}

const METRICS_PORT = 19_464;

/** Produces at a steady rate, and notes when each record's acknowledgement arrives. */
class Acks {
  readonly #backlog: Backlog;
  readonly #producer;
  readonly #consumer;
  /** When each record was about to be produced, by its number. */
  readonly #producedAt: number[] = [];
  readonly #tookMs: number[] = [];
  #answered = 0;

  private constructor(stack: Stack, backlog: Backlog) {
    const kafka = new Kafka({ brokers: [...stack.kafka.brokers], logLevel: logLevel.NOTHING });
    this.#backlog = backlog;
    this.#producer = kafka.producer({ allowAutoTopicCreation: false });
    this.#consumer = kafka.consumer({ groupId: `${backlog.name}.latency`, maxWaitTimeInMs: 20 });
  }

  static async follow(stack: Stack, backlog: Backlog): Promise<Acks> {
    const acks = new Acks(stack, backlog);
    await acks.#producer.connect();
    await acks.#consumer.connect();
    await acks.#consumer.subscribe({ topic: backlog.replyTopic, fromBeginning: true });
    await acks.#consumer.run({
      eachBatch: ({ batch }) => {
        const nowMs = performance.now();
        for (const { headers } of batch.messages) acks.#take(Number(headers?.['kafka_correlationId']), nowMs);
        return Promise.resolve();
      },
    });
    return acks;
  }

  #take(id: number, nowMs: number): void {
    if (this.#tookMs[id] !== undefined) return;
    this.#tookMs[id] = nowMs - (this.#producedAt[id] ?? NaN);
    this.#answered++;
  }

  /** Produces records `first` to `first + count`, `rate` of them a second. */
  async produce(first: number, count: number, rate: number): Promise<void> {
    const startedAt = performance.now();
    const sends: Promise<unknown>[] = [];
    for (let done = 0; done < count;) {
      const until = Math.min(count, Math.floor(((performance.now() - startedAt) / 1000) * rate));
      const messages = [];
      for (; done < until; done++) {
        const id = first + done;
        this.#producedAt[id] = performance.now();
        messages.push({ ...benchMessage(id), headers: { kafka_correlationId: String(id) } });
      }
      if (messages.length > 0) sends.push(this.#producer.send({ topic: this.#backlog.topic, messages }));
      await sleep(1000 / PORTIONS_PER_SECOND);
    }
    await Promise.all(sends);
  }

  async untilAll(count: number): Promise<void> {
    const deadline = Date.now() + ANSWERED_WITHIN_MS;
    while (this.#answered < count) {
      if (Date.now() > deadline)
        throw new Error(`only ${this.#answered} of ${count} records were acknowledged in time`);
      await sleep(50);
    }
  }

  /** Of the records from `first`, sorted. */
  milliseconds(first: number): number[] {
    return this.#tookMs.slice(first).sort((a, b) => a - b);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#producer.disconnect(), this.#consumer.disconnect()]);
  }
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

async function counters(listen: string): Promise<{ readonly signals: number; readonly flushes: number }> {
  const text = await (await fetch(`http://${listen}/metrics`)).text();
  const sum = (name: string): number =>
    [...text.matchAll(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'gm'))].reduce(
      (total, [, value]) => total + Number(value),
      0,
    );
  return { signals: sum('ktb_signals_total'), flushes: sum('ktb_flushes_total') };
}
