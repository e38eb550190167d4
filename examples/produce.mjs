// Produces orders, as an application would: node examples/produce.mjs [count] [a value instead of orders]
import { readFileSync } from 'node:fs';
import { Kafka, logLevel } from 'kafkajs';
import { parse } from 'yaml';

const [count = '1000', value] = process.argv.slice(2);
const { kafka } = parse(readFileSync('ktb.yaml', 'utf8'));
const producer = new Kafka({ brokers: kafka.brokers, logLevel: logLevel.ERROR }).producer({ idempotent: true });

const order = (id) => ({ id, customer: `c${id % 50}`, amount: (id * 7) % 100, ordered_at: new Date().toISOString() });
const messages = Array.from({ length: Number(count) }, (_, id) => ({
  key: `c${id % 50}`,
  value: value ?? JSON.stringify(order(id)),
}));

await producer.connect();
// kafkajs takes some hundreds at a time best.
for (let at = 0; at < messages.length; at += 500) {
  await producer.send({ topic: 'orders', messages: messages.slice(at, at + 500) });
}
await producer.disconnect();
console.log(`${count} records produced`);
