import { once } from 'node:events';
import { connect, createServer as createHttp2Server } from 'node:http2';
import { createServer, type AddressInfo, connect as connectSocket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { calledIn, Http2Reader, huffman, TEMPORAL_REQUESTS } from '../../../chaos/grpcFrames.js';

const SERVICE = '/temporal.api.workflowservice.v1.WorkflowService/';

/** What a client of HTTP/2 sends for requests to these paths, one after the other. */
async function sent(paths: readonly string[]): Promise<Buffer> {
  const server = createHttp2Server();
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200 });
    stream.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const pieces: Buffer[] = [];
  const proxy = createServer((client) => {
    const target = connectSocket((server.address() as AddressInfo).port, '127.0.0.1');
    client.on('data', (data) => pieces.push(data));
    client.pipe(target).pipe(client);
    for (const socket of [client, target]) socket.on('error', () => socket.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const session = connect(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  onTestFinished(() => {
    session.destroy();
    proxy.close();
    server.close();
  });
  for (const path of paths) {
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' });
    stream.end('body');
    stream.resume();
    await once(stream, 'close');
  }
  return Buffer.concat(pieces);
}

it('finds what a client calls, however often it does and however the bytes are cut', async () => {
  const requests = Object.entries(TEMPORAL_REQUESTS).flatMap(([request, methods]) =>
    methods.map((method) => ({ request, path: `${SERVICE}${method}` })),
  );
  // Twice: a client may refer to what it has sent before.
  const all = [...requests, { request: undefined, path: `${SERVICE}GetSystemInfo` }, ...requests];
  const bytes = await sent(all.map(({ path }) => path));
  for (const size of [1, 7, 1_000, bytes.length]) {
    const reader = new Http2Reader(true);
    const called: (string | undefined)[] = [];
    const passed: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size)
      for (const frame of reader.take(bytes.subarray(at, at + size))) {
        passed.push(frame.bytes);
        if (frame.type === 1) called.push(calledIn(frame));
      }
    expect(called).toEqual(all.map(({ request }) => request));
    expect(Buffer.concat(passed).equals(bytes)).toBe(true);
  }
});

it('writes a text as the examples of the standard do', () => {
  // RFC 7541, C.4.
  expect(huffman('www.example.com').toString('hex')).toBe('f1e3c2e5f23a6ba0ab90f4ff');
  expect(huffman('no-cache').toString('hex')).toBe('a8eb10649cbf');
});

it('passes what is no HTTP/2 as it is', () => {
  const reader = new Http2Reader(true);
  expect(reader.take(Buffer.from('GET / HTTP/1.1'))).toEqual([
    { type: -1, stream: 0, bytes: Buffer.from('GET / HTTP/1.1') },
  ]);
  expect(reader.take(Buffer.from('more'))).toEqual([{ type: -1, stream: 0, bytes: Buffer.from('more') }]);
});
