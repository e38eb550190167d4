import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { huffman } from '../../../chaos/grpcFrames.js';
import { Link, type Protocol } from '../../../chaos/link.js';
import { pickPorts } from '../../../stack/ports.js';

/** A link to a server that answers each piece with the same piece, and a client of it. */
async function opened(
  protocol: Protocol = 'clickhouse',
  answerTo: (data: Buffer) => Buffer = (data) => data,
): Promise<{ link: Link; client: () => Promise<Client>; received: () => string }> {
  let received = '';
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (data) => {
      received += data.toString();
      socket.write(answerTo(data));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const [port] = (await pickPorts(1)) as [number];
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const link = await Link.open('test', target, port, protocol);
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
    socket.on('data', (data) => (this.answer += data.toString('latin1')));
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
    this.socket.write(text, 'latin1');
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
  expect(link.dropped('insert')).toBe(1);
  await (await client()).ask('INSERT INTO t');
});

it('swallows requests of a kind, and passes on all others of their connection', async () => {
  const { link, client, received } = await opened('kafka');
  const frame = (key: number, correlation: number): string => {
    const bytes = Buffer.alloc(12);
    bytes.writeInt32BE(8, 0);
    bytes.writeInt16BE(key, 4);
    bytes.writeInt32BE(correlation, 8);
    return bytes.toString('latin1');
  };
  const [commit, heartbeat, fetch] = [frame(8, 1), frame(12, 2), frame(1, 3)];
  const one = await client();
  const send = async (frames: string, arrived: string): Promise<void> => {
    one.socket.write(frames, 'latin1');
    await expect.poll(received).toBe(arrived);
  };
  link.swallow('commit', true);
  await send(commit + heartbeat + commit + fetch, heartbeat + fetch);
  link.swallow('commit', false);
  await send(commit, heartbeat + fetch + commit);
  link.swallow('commit', true);
  link.heal();
  await send(commit, heartbeat + fetch + commit + commit);
});

it('drops the answer of a look-up, and of no other query', async () => {
  const { link, client } = await opened();
  const one = await client();
  link.dropAnswers('lookUp', 1);
  await one.ask('SELECT name, type FROM system.columns');
  await one.ask("SELECT query_id FROM system.processes WHERE query LIKE '%_offset%'");
  expect(link.dropped('lookUp')).toBe(0);
  one.socket.write('SELECT DISTINCT _offset FROM `t` WHERE _partition = 1 AND _offset BETWEEN 1 AND 9');
  await expect.poll(() => one.isCut).toBe(true);
  expect(link.dropped('lookUp')).toBe(1);
});

it('drops answers of several kinds, and counts each', async () => {
  const { link, client } = await opened();
  link.dropAnswers('insert', 1);
  link.dropAnswers('lookUp', 2);
  for (const statement of ['INSERT INTO t', 'SELECT _offset FROM t WHERE _offset BETWEEN 1 AND 2']) {
    const one = await client();
    one.socket.write(statement);
    await expect.poll(() => one.isCut).toBe(true);
  }
  expect([link.dropped('insert'), link.dropped('lookUp')]).toEqual([1, 1]);
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

it('drops the answer to one call of Temporal, and no other', async () => {
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
  // What comes back on the stream of a request is its answer.
  const answerTo = (data: Buffer) => (data.includes(preface) ? data.subarray(preface.length) : data);
  const { link, client } = await opened('temporal', answerTo);
  const called = (method: string, stream: number): string => {
    const path = huffman(`/temporal.api.workflowservice.v1.WorkflowService/${method}`);
    const block = Buffer.concat([Buffer.from([0x04, 0x80 | path.length]), path]);
    const head = Buffer.from([0, 0, block.length, 1, 4, 0, 0, 0, stream]);
    return Buffer.concat([head, block]).toString('latin1');
  };
  const one = await client();
  one.socket.write(preface);
  link.dropAnswers('signal', 1);
  await one.ask(called('PollWorkflowTaskQueue', 1));
  one.socket.write(called('SignalWithStartWorkflowExecution', 3), 'latin1');
  await expect.poll(() => one.isCut).toBe(true);
  expect(link.dropped('signal')).toBe(1);
});

it('says how often a fault has hit something', async () => {
  const { link, client } = await opened();
  link.reset();
  link.halfOpen();
  link.set({ type: 'partitioned' });
  link.dropAnswers('insert', 1);
  link.heal();
  expect(link.hits).toBe(0);
  const one = await client();
  await one.ask('a');
  link.set({ type: 'partitioned' });
  one.socket.write('b');
  await sleep(50);
  link.heal();
  await expect.poll(() => one.answer).toBe('ab');
  expect(link.hits).toBe(1);
  link.halfOpen();
  link.heal();
  await expect.poll(() => one.isCut).toBe(true);
  expect(link.hits).toBe(2);
});
