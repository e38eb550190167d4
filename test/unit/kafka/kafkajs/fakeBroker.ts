import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { logLevel } from 'kafkajs';
import { onTestFinished } from 'vitest';
import { internalModule, type Connection } from '../../../../src/kafka/kafkajs/internals.js';

/** What a broker does with a request, of which it is told the number of its connection, the first being 0. */
export type Answering = (socket: Socket, answer: Buffer, connection: number) => void;

/** Answers every request as `ApiVersions` with nothing in it, or as it is told. */
export async function fakeBroker(answering: Answering): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    const connection = sockets.push(socket) - 1;
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      for (let at = 0; at < data.length; at += 4 + data.readInt32BE(at)) {
        const answer = Buffer.alloc(14);
        answer.writeInt32BE(answer.length - 4);
        answer.writeInt32BE(data.readInt32BE(at + 8), 4);
        answering(socket, answer, connection);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}

/** A connection of kafkajs's own. */
export function connectionTo(port: number, requestTimeout = 300): Connection {
  const Connection = internalModule('network/connection') as new (options: object) => Connection;
  const socketFactory = (internalModule('network/socketFactory') as () => unknown)();
  const quiet = Object.fromEntries(['debug', 'info', 'warn', 'error'].map((level) => [level, () => undefined]));
  const logger = { ...quiet, namespace: () => logger, level: logLevel.NOTHING };
  const options = { host: '127.0.0.1', port, logger, socketFactory, requestTimeout, connectionTimeout: 1_000 };
  const connection = new Connection(options);
  onTestFinished(() => void connection.disconnect());
  return connection;
}

/** As kafkajs's pool sends: on an open connection. */
export async function ask(connection: Connection): Promise<unknown> {
  const { protocol } = internalModule('protocol/requests/apiVersions') as {
    protocol: (options: { version: number }) => () => object;
  };
  if (!connection.isConnected()) await connection.connect();
  return connection.send(protocol({ version: 0 })());
}
