import { beforeAll, expect, it } from 'vitest';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';
import { ask, connectionTo, fakeBroker } from './fakeBroker.js';

beforeAll(repairKafkajs);

it('what was left of an answer that was cut off is not read as the beginning of the next one', async () => {
  const { port } = await fakeBroker((socket, answer, connection) => {
    if (connection > 0) socket.write(answer);
    else socket.end(answer.subarray(0, 9));
  });
  const connection = connectionTo(port);
  await expect(ask(connection)).rejects.toThrow('Closed connection');
  await expect(ask(connection)).resolves.toMatchObject({ errorCode: 0 });
});

it('two requests that find it closed open one socket', async () => {
  const { port, sockets } = await fakeBroker((socket, answer) => socket.write(answer));
  const connection = connectionTo(port);
  await Promise.all([ask(connection), ask(connection)]);
  expect(sockets).toHaveLength(1);
});

it('is closed within seconds, whatever is not answered, and says so to who waits', async () => {
  const { port } = await fakeBroker(() => undefined);
  const connection = connectionTo(port, 600_000);
  const waiting = expect(ask(connection)).rejects.toThrow('The connection was closed');
  await expect.poll(() => connection.requestQueue.inflight.size).toBe(1);
  await connection.disconnect();
  await waiting;
}, 20_000);

it('a request that finds it being closed waits for that, and goes over a new socket', async () => {
  const { port, sockets } = await fakeBroker((socket, answer, connection) => {
    if (connection > 0) socket.write(answer);
  });
  const connection = connectionTo(port, 600_000);
  const waiting = expect(ask(connection)).rejects.toThrow('The connection was closed');
  await expect.poll(() => connection.requestQueue.inflight.size).toBe(1);
  const closed = connection.disconnect();
  const next = connection.connect().then(() => ask(connection));
  await Promise.all([closed, waiting]);
  await expect(next).resolves.toMatchObject({ errorCode: 0 });
  expect(sockets).toHaveLength(2);
  expect(connection.isConnected()).toBe(true);
}, 20_000);
