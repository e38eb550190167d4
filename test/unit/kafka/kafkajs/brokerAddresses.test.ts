import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { Kafka, logLevel } from 'kafkajs';
import { expect, it, onTestFinished } from 'vitest';
import { bootstrapAddress, openSocket } from '../../../../src/kafka/kafkajs/brokerAddresses.js';

/** Whether anything connects to a server that listens on this host, when kafkajs is given this address of it. */
async function isReached(host: string, address: (port: number) => string): Promise<boolean> {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, host);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const connected = new Promise<boolean>((resolve) => server.once('connection', () => resolve(true)));
  const brokers = [bootstrapAddress(address(portOf(server)))];
  const retry = { retries: 0 };
  const kafka = new Kafka({ brokers, socketFactory: openSocket, retry, logLevel: logLevel.NOTHING });
  const failed = kafka
    .admin()
    .connect()
    .then(
      () => false,
      () => false,
    );
  return Promise.race([connected, failed]);
}

const portOf = (server: Server) => (server.address() as AddressInfo).port;

it('an IPv6 address in brackets is connected to', async () => {
  expect(await isReached('::1', (port) => `[::1]:${port}`)).toBe(true);
});

it('so are a name and an IPv4 address', async () => {
  expect(await isReached('127.0.0.1', (port) => `127.0.0.1:${port}`)).toBe(true);
  expect(await isReached('localhost', (port) => `localhost:${port}`)).toBe(true);
});
