import { setTimeout as sleep } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { fromKafkaMessage } from '../src/kafka/fromKafka.js';
import { repairKafkajs } from '../src/kafka/kafkajs/repairs.js';
import { MessageArray } from '../src/kafka/messageList.js';
import { producerFactory } from '../src/kafka/producers.js';
import type { KafkaRecord } from '../src/protocol/record.js';
import type { Stack } from '../stack/index.js';
import { Backlog } from './backlog.js';
import { withBridge } from './bridge.js';
import type { Counts } from './counters.js';
import { Destination } from './destination.js';
import { whileDrainerRuns } from './drain.js';
import { BASELINE, benchMessage, type Scenario } from './scenario.js';
import type { CpuSeconds } from './usage.js';

/** A steady rate of records, and the configuration it is measured with. */
export interface LatencyCase {
  readonly variant: string;
  readonly recordsPerSecond: number;
  readonly batchers: Scenario['batchers'];
  /** `batch.maxDelay`; without, its default. */
  readonly maxDelay?: string;
  /** `dist/cli.js` of another build. */
  readonly cli?: string;
}

/** What a steady rate of records costs, and how long their acknowledgements take. */
export interface Latency extends Omit<LatencyCase, 'cli'> {
  /**
   * By quantile (0.5, 0.99, 0.999): from when a record is due to be produced until a consumer of the reply topic has its
   * acknowledgement.
   */
  readonly milliseconds: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** Of all these seconds. */
  readonly counts: Counts;
  /** CPU seconds a second; `bench` is the benchmark itself. */
  readonly cpu: CpuSeconds;
}

/** The JVM of Kafka and V8 go on compiling for about so long: after 5 s that still was a large part of what was measured. */
const WARM_UP_SECONDS = 20;
const MEASURED_SECONDS = 15;
/** Records are produced in so many portions a second. */
const PORTIONS_PER_SECOND = 40;
/** Of the cases with a rate alone. */
export const SHORT_DELAY = '100ms';
const ANSWERED_WITHIN_MS = 60_000;
const CORRELATION_ID = 'kafka_correlationId';
const QUANTILES = [0.5, 0.99, 0.999];

/** Measures one rate by a daemon of its own. */
export async function measureLatency(stack: Stack, { cli, ...subject }: LatencyCase): Promise<Latency> {
  const { recordsPerSecond: rate, batchers, maxDelay } = subject;
  const warmUp = rate * WARM_UP_SECONDS;
  const records = warmUp + rate * MEASURED_SECONDS;
  const backlog = await Backlog.create(stack, { ...BASELINE, batchers, records });
  const destination = await Destination.create(stack, backlog);
  const options = {
    ...(cli === undefined ? {} : { cli }),
    ...(maxDelay === undefined ? {} : { pipeline: { batch: { maxDelay } } }),
  };
  const acks = await Acks.follow(stack, destination);
  try {
    const measured = await withBridge(stack, destination, options, (drainer, counters) =>
      whileDrainerRuns(stack, drainer, async (usage) => {
        await acks.produce(0, warmUp, rate);
        await counters.begin();
        usage.begin();
        const before = process.cpuUsage();
        await acks.produce(warmUp, rate * MEASURED_SECONDS, rate);
        const own = process.cpuUsage(before);
        const cpu = {
          ...usage.perMillion(MEASURED_SECONDS * 1_000_000),
          bench: (own.user + own.system) / 1_000_000 / MEASURED_SECONDS,
        };
        // Both ends of the time are told equally late.
        const counts = await counters.counts(false);
        await acks.untilAll(records);
        return { seconds: MEASURED_SECONDS, counts, cpu };
      }),
    );
    await destination.remove();
    await backlog.remove();
    return { ...subject, milliseconds: acks.milliseconds(warmUp), ...measured };
  } finally {
    await acks.stop();
  }
}

/** Produces at a steady rate, and notes when each record's acknowledgement arrives. */
class Acks {
  readonly #topic: string;
  readonly #producer;
  readonly #consumer;
  /** When each record was due to be produced, by its number. */
  readonly #producedAt: number[] = [];
  readonly #tookMs: number[] = [];
  #answered = 0;

  private constructor(stack: Stack, { backlog, name }: Destination) {
    const kafka = new Kafka({ brokers: [...stack.kafka.brokers], logLevel: logLevel.NOTHING });
    this.#topic = backlog.topic;
    this.#producer = producerFactory(kafka)();
    // A broker answers at once when there is something.
    this.#consumer = kafka.consumer({ groupId: `${name}.latency`, minBytes: 1, maxWaitTimeInMs: 1_000 });
  }

  static async follow(stack: Stack, destination: Destination): Promise<Acks> {
    repairKafkajs();
    const acks = new Acks(stack, destination);
    await acks.#producer.connect();
    await acks.#consumer.connect();
    await acks.#consumer.subscribe({ topic: destination.replyTopic, fromBeginning: true });
    await acks.#consumer.run({
      eachBatch: ({ batch }) => {
        const nowMs = performance.now();
        for (const message of batch.messages) acks.#take(idOf(fromKafkaMessage(message)), nowMs);
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
        // When it was due: that this process was late is a part of the latency.
        this.#producedAt[id] = startedAt + (done / rate) * 1000;
        messages.push({ ...benchMessage(BASELINE, id), headers: { [CORRELATION_ID]: String(id) } });
      }
      if (messages.length > 0) sends.push(this.#producer.send(this.#topic, new MessageArray(messages)));
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

  /** Quantiles of the records from `first`. */
  milliseconds(first: number): Record<string, number> {
    const sorted = this.#tookMs.slice(first).sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
    return Object.fromEntries(QUANTILES.map((share) => [share, at(share)]));
  }

  async stop(): Promise<void> {
    await Promise.all([this.#producer.disconnect(), this.#consumer.disconnect()]);
  }
}

/** Of an acknowledgement: the number of the record that it is for. */
function idOf({ headers }: KafkaRecord): number {
  const [, value] = headers.find(([name]) => name === CORRELATION_ID) ?? [];
  return Number(Buffer.from(value ?? []).toString());
}
