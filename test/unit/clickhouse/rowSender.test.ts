import { createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { createClickHouse } from '../../../src/clickhouse/clients.js';
import { RowSender } from '../../../src/clickhouse/rowSender.js';
import type { ServerLimits } from '../../../src/clickhouse/serverLimits.js';

const ANSWER = 'HTTP/1.1 200 OK\r\nx-clickhouse-query-id: q\r\nContent-Length: 0\r\n\r\n';

/** Sends more rows than sockets keep to a server that answers as it is told. */
async function sendTo(answer: (socket: Socket, data: Buffer) => void): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      answer(socket, data);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const client = createClickHouse({
    urls: [`http://127.0.0.1:${port}`],
    username: 'u',
    password: 'p',
    accessToken: null,
    tls: null,
    database: 'd',
    requestTimeoutMs: 10_000,
    maxConnections: 1,
  } as unknown as Parameters<typeof createClickHouse>[0]);
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await client.close();
    server.close();
  });
  const lines = Array.from({ length: 400 }, () => Buffer.alloc(120 * 1024, '1\n'));
  const sender = new RowSender(client, {}, { settingsIfKnown: {} } as unknown as ServerLimits);
  const named = { database: 'd', table: 't', name: 't' } as unknown as Parameters<RowSender['send']>[0];
  await sender.send(named, { columns: new Map([['a', 'String']]), lines, token: 't', batch: 'b' });
}

it('an insert has succeeded if all of it was read before the answer', async () => {
  let tail = '';
  await sendTo((socket, data) => {
    tail = (tail + data.toString('latin1')).slice(-5);
    if (tail === '0\r\n\r\n') socket.write(ANSWER);
  });
});

it('an answer that comes before all rows were sent is no success: the memory of the rows is still read', async () => {
  let answering: Socket | undefined;
  const early = sendTo((socket) => {
    if (answering !== undefined) return;
    answering = socket;
    socket.write(ANSWER);
    socket.pause();
  });
  await expect(early).rejects.toThrow('what answered was not ClickHouse');
  // It would be kept for the rest of the rows, and the next insert would wait for it.
  const ended = new Promise((resolve) => answering?.once('close', resolve));
  answering?.resume();
  await ended;
});
