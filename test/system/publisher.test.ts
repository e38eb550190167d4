import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { createAdmin } from '../../src/kafka/admin.js';
import { createKafka } from '../../src/kafka/clients.js';
import { toOffset } from '../../src/kafka/fromKafka.js';
import { producerFactory } from '../../src/kafka/producers.js';
import { Publisher } from '../../src/kafka/publisher.js';
import { eventually } from '../support/eventually.js';
import { FaultyProxy } from '../support/faultyProxy.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();

it('what a producer has sent without an answer it does not send again once it is given up', async () => {
  const [address = ''] = stack().kafka.brokers;
  const proxy = await FaultyProxy.start(address, { advertises: true });
  const kafka = createKafka(
    {
      brokers: [`127.0.0.1:${proxy.port}`],
      clientId: 'publisher-test',
      rackId: null,
      ssl: false,
      sasl: null,
      connectionTimeoutMs: 1_000,
      requestTimeoutMs: 2_000,
      sessionTimeoutMs: 30_000,
    },
    pino({ level: 'silent' }),
  );
  const admin = createAdmin(kafka);
  const settled: Promise<unknown>[] = [];
  const create = producerFactory(kafka);
  const createProducer = (): ReturnType<typeof create> => {
    const producer = create();
    return {
      connect: () => producer.connect(),
      disconnect: () => producer.disconnect(),
      send: (topic, messages) => {
        const answer = producer.send(topic, messages);
        settled.push(answer.catch(() => undefined));
        return answer;
      },
    };
  };
  let nowMs = 0;
  const publisher = new Publisher({ createProducer, answerWaitMs: 500, now: () => nowMs });
  onTestFinished(async () => {
    await Promise.all([publisher.close(), admin.disconnect()]);
    await proxy.close();
  });
  const topic = `publisher-${randomUUID()}`;
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] });
  const published = async (): Promise<number> =>
    (await admin.fetchTopicOffsets(topic)).reduce((sum, { offset }) => sum + toOffset(offset), 0);
  // On a busy machine the first answers may come too late; a new producer is made only after a while.
  await eventually(async () => {
    nowMs += 5_000;
    await publisher.publish(topic, [{ key: null, value: 'before' }]);
  });
  await Promise.all(settled);
  const before = await published();

  expect(proxy.silence()).toBeGreaterThan(0);
  await expect(publisher.publish(topic, [{ key: null, value: 'unanswered' }])).rejects.toThrow('no answer within');
  await Promise.all(settled);
  nowMs += 5_000;
  await publisher.publish(topic, [{ key: null, value: 'after' }]);
  expect((await published()) - before).toBe(2);
});
