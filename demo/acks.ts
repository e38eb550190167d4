import type { Consumer, IHeaders } from 'kafkajs';
import type { Ack, AckLedger } from './ackLedger.js';
import { DemoError } from './demoError.js';
import { waitUntil } from './waiting.js';

/** Header of a record that names its number; the pipelines copy it into the acknowledgement (`reply.copyHeaders`). */
export const ID_HEADER = 'demo-id';

const JOIN_WITHIN_MS = 60_000;

/**
 * Reads acknowledgements into ledgers until the consumer is disconnected. Resolves when it has joined its group, so that
 * the measured latencies hold no waiting for that.
 *
 * @param ledgers by reply topic
 * @param onFailure told when the consumer has ended for good
 */
export async function consumeAcks(
  consumer: Consumer,
  ledgers: ReadonlyMap<string, AckLedger>,
  onFailure: (error: Error) => void,
  signal: AbortSignal,
): Promise<void> {
  let joined = false;
  consumer.on(consumer.events.GROUP_JOIN, () => (joined = true));
  consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
    const message = `The consumer of the acknowledgements failed: ${error.message}`;
    if (!restart) onFailure(new DemoError(message, { cause: error }));
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [...ledgers.keys()], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: ({ batch: { topic, messages } }) => {
      const receivedAtMs = performance.now();
      const ledger = ledgers.get(topic);
      for (const { value, headers } of messages) ledger?.received(readAck(value, headers), receivedAtMs);
      return Promise.resolve();
    },
  });
  await waitUntil(() => (joined ? undefined : 'it has no partitions yet'), {
    what: "the demo's consumer to join its group on the reply topics",
    withinMs: JOIN_WITHIN_MS,
    signal,
  });
}

function readAck(value: Buffer | null, headers: IHeaders | undefined): Ack {
  const id = headers?.[ID_HEADER]?.toString();
  const body = JSON.parse(value?.toString() ?? 'null') as Omit<Ack, 'index'>;
  return { ...body, index: id === undefined ? undefined : Number(id) };
}
