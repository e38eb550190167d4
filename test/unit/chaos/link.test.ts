import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { Link } from '../../../chaos/link.js';
import { pickPorts } from '../../../stack/ports.js';

/** A link to a server that answers each piece with the same piece, and a client of it. */
async function opened(): Promise<{ link: Link; client: () => Promise<Client>; received: () => string }> {
  let received = '';
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (data) => {
      received += data.toString();
      socket.write(data);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const [port] = (await pickPorts(1)) as [number];
  const link = await Link.open('test', `127.0.0.1:${(server.address() as AddressInfo).port}`, port);
  onTestFinished(async () => {
    await link.close();
    server.close();
  });
  return { link, client: () => Client.connect(port), received: () => received };
}

class Client {
  answer = '';
  isCut = false;
  readonly socket: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data) => (this.answer += data.toString()));
    socket.on('error', () => (this.isCut = true));
    socket.on('close', () => (this.isCut = true));
  }

  static async connect(port: number): Promise<Client> {
    const socket = connect(port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    await once(socket, 'connect');
    return new Client(socket);
  }

  async ask(text: string): Promise<void> {
    const before = this.answer.length;
    this.socket.write(text);
    await expect.poll(() => this.answer.length).toBe(before + text.length);
  }
}

it('passes everything on', async () => {
  const { client } = await opened();
  const one = await client();
  await one.ask('hello');
  await one.ask('again');
  expect(one.answer).toBe('helloagain');
});

it('drops the answer of a request that has arrived, and cuts its connection', async () => {
  const { link, client, received } = await opened();
  const one = await client();
  await one.ask('before');
  link.dropAnswers('insert', 1);
  await one.ask('SELECT 1');
  one.socket.write('INSERT INTO t');
  await expect.poll(() => one.isCut).toBe(true);
  expect(received()).toBe('beforeSELECT 1INSERT INTO t');
  expect(one.answer).toBe('beforeSELECT 1');
  expect(link.dropped).toBe(1);
  await (await client()).ask('INSERT INTO t');
});

it('holds what is sent during a partition, and delivers it afterward, also of a client that has gone', async () => {
  const { link, client, received } = await opened();
  const [stays, goes] = [await client(), await client()];
  await stays.ask('a');
  await goes.ask('b');
  link.set({ type: 'partitioned' });
  stays.socket.write('c');
  goes.socket.write('d');
  goes.socket.end();
  await sleep(50);
  expect(received()).toBe('ab');
  link.heal();
  await expect.poll(() => Array.from(received()).sort().join('')).toBe('abcd');
  await expect.poll(() => stays.answer).toBe('ac');
});

it('loses what is sent on half-open connections, lets new ones work, and cuts the old ones at the end', async () => {
  const { link, client, received } = await opened();
  const old = await client();
  await old.ask('a');
  link.halfOpen();
  old.socket.write('b');
  await (await client()).ask('c');
  expect(received()).toBe('ac');
  expect(old.isCut).toBe(false);
  link.heal();
  await expect.poll(() => old.isCut).toBe(true);
});

it('delays what is sent, in order', async () => {
  const { link, client } = await opened();
  const one = await client();
  link.set({ type: 'slow', delayMs: 100 });
  const begunAt = performance.now();
  await one.ask('slow');
  // There and back.
  expect(performance.now() - begunAt).toBeGreaterThan(190);
  one.socket.write('x');
  await sleep(5);
  link.heal();
  one.socket.write('y');
  await expect.poll(() => one.answer).toBe('slowxy');
});

it('resets open connections', async () => {
  const { link, client } = await opened();
  const one = await client();
  await one.ask('a');
  link.reset();
  await expect.poll(() => one.isCut).toBe(true);
  expect(link.cut).toBe(1);
});
