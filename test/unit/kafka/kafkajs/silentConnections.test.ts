import { beforeAll, expect, it } from 'vitest';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';
import { ask, connectionTo, fakeBroker } from './fakeBroker.js';

beforeAll(repairKafkajs);

it('a connection on which a request has timed out is closed, and the next request is answered on a new one', async () => {
  const { port, sockets } = await fakeBroker((socket, answer, connection) => {
    if (connection > 0) socket.write(answer);
  });
  const connection = connectionTo(port);
  await expect(ask(connection)).rejects.toThrow('timed out');
  await expect(ask(connection)).resolves.toMatchObject({ errorCode: 0 });
  expect(sockets).toHaveLength(2);
});

it('an idle connection to the same broker is closed, too, and one to another broker is not', async () => {
  let silent = false;
  const broker = await fakeBroker((socket, answer) => {
    if (!silent) socket.write(answer);
  });
  const other = await fakeBroker((socket, answer) => socket.write(answer));
  const [asked, idle, elsewhere] = [connectionTo(broker.port), connectionTo(broker.port), connectionTo(other.port)];
  for (const connection of [asked, idle, elsewhere]) await ask(connection);
  silent = true;
  await expect(ask(asked)).rejects.toThrow('timed out');
  await expect.poll(() => idle.isConnected()).toBe(false);
  expect(elsewhere.isConnected()).toBe(true);
});
