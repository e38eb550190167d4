import { setTimeout as sleep } from 'node:timers/promises';
import type { Message, Producer } from 'kafkajs';
import type { AckLedger } from './ackLedger.js';
import { ID_HEADER } from './acks.js';
import type { Dataset } from './datasets.js';

/** kafkajs groups the messages of a request by partition in a time that grows with their square. */
const REQUEST_MESSAGES_MAX = 500;

/**
 * Numbers of the records that go out at full speed, in order: the good ones below `end`, with all bad ones in their midst,
 * so that they share their batches with good ones.
 */
export function* bulkOrder({ records, badRecords }: Pick<Dataset, 'records' | 'badRecords'>, end: number) {
  const middle = Math.floor(end / 2);
  for (let index = 0; index < middle; index++) yield index;
  for (let bad = 0; bad < badRecords; bad++) yield records + bad;
  for (let index = middle; index < end; index++) yield index;
}

/** Produces records as fast as Kafka takes them, in requests of some hundreds. */
export async function produceBulk(
  producer: Producer,
  dataset: Dataset,
  ledger: AckLedger,
  indexes: Iterable<number>,
  signal: AbortSignal,
): Promise<void> {
  let messages: Message[] = [];
  const send = async (): Promise<void> => {
    signal.throwIfAborted();
    await producer.send({ topic: dataset.name, messages });
    ledger.sent(messages.length);
    messages = [];
  };
  for (const index of indexes) {
    ledger.sending(index, performance.now());
    messages.push(toMessage(dataset, index));
    if (messages.length === REQUEST_MESSAGES_MAX) await send();
  }
  if (messages.length > 0) await send();
}

/** Produces single records, each in a request of its own, at a steady pace. */
export async function produceTrickle(
  producer: Producer,
  dataset: Dataset,
  ledger: AckLedger,
  { from, to, everyMs }: { readonly from: number; readonly to: number; readonly everyMs: number },
  signal: AbortSignal,
): Promise<void> {
  const startedAtMs = performance.now();
  for (let index = from; index < to; index++) {
    signal.throwIfAborted();
    ledger.sending(index, performance.now());
    await producer.send({ topic: dataset.name, messages: [toMessage(dataset, index)] });
    ledger.sent(1);
    const dueAtMs = startedAtMs + (index - from + 1) * everyMs;
    await sleep(Math.max(0, dueAtMs - performance.now()));
  }
}

function toMessage(dataset: Dataset, index: number): Message {
  const { key, value } = dataset.record(index);
  // A key as bytes: the partitioner takes no other.
  return { key: Buffer.from(key), value, headers: { [ID_HEADER]: String(index) } };
}
