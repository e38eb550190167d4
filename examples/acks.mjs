// Waits until so many records are acknowledged, and counts them by status: node examples/acks.mjs [count]
import { readFileSync } from 'node:fs';
import { Kafka, logLevel } from 'kafkajs';
import { parse } from 'yaml';

const wanted = Number(process.argv[2] ?? 1000);
const { kafka } = parse(readFileSync('ktb.yaml', 'utf8'));
const consumer = new Kafka({ brokers: kafka.brokers, logLevel: logLevel.ERROR }).consumer({
  groupId: `acks-${Date.now()}`,
});

const counts = {};
// After a failure a record may be acknowledged a second time.
const seen = new Set();
await consumer.connect();
await consumer.subscribe({ topic: 'orders.replies', fromBeginning: true });
await new Promise((resolve) => {
  void consumer.run({
    autoCommit: false,
    eachMessage: async ({ message }) => {
      const { status, code, topic, partition, offset } = JSON.parse(message.value);
      const record = `${topic}/${partition}/${offset}`;
      if (seen.has(record)) return;
      seen.add(record);
      const name = code ? `${status} (${code})` : status;
      counts[name] = (counts[name] ?? 0) + 1;
      if (seen.size >= wanted) resolve();
    },
  });
});
await consumer.disconnect();
console.log(counts);
