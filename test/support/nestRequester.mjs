// Sends requests with NestJS's ClientKafka, one after the other, in a process of its own, as its users have it: ktb's
// repairs of kafkajs, which a test may have made before, are not in it. Prints an outcome a line.
import { ClientKafka } from '@nestjs/microservices';
import { lastValueFrom } from 'rxjs';

const { brokers, topic, groupId, values } = JSON.parse(process.argv[2]);
const client = new ClientKafka({
  client: { brokers },
  consumer: { groupId },
  // Otherwise it asks for the end of the topic after it has joined, and an answer that is there by then is behind it.
  subscribe: { fromBeginning: true },
});
client.subscribeToResponseOf(topic);
await client.connect();
try {
  for (const value of values) console.log(JSON.stringify(await outcomeOf(value)));
} finally {
  await client.close();
}

async function outcomeOf(value) {
  try {
    return { reply: await lastValueFrom(client.send(topic, value)) };
  } catch (error) {
    return { error };
  }
}
