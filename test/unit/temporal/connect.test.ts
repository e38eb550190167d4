import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { connectTemporal } from '../../../src/temporal/connect.js';

const UNIMPLEMENTED = '12';

it('sends its requests as they are: what is large in them is compressed already', async () => {
  const requests: IncomingHttpHeaders[] = [];
  const server = createServer();
  server.on('stream', (stream, headers) => {
    requests.push(headers);
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': UNIMPLEMENTED },
      { endStream: true },
    );
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    const opening = connectTemporal({
      address: `127.0.0.1:${port}`,
      namespace: 'default',
      taskQueue: 'ktb',
      tls: false,
      apiKey: null,
      requestTimeoutMs: 5_000,
      encryption: { keys: new Map(), active: null, required: false },
    });
    await expect(opening).rejects.toThrow('not implemented');
  } finally {
    server.close();
  }
  expect(requests.map((headers) => headers[':path'])).toContain(
    '/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo',
  );
  expect(requests.map((headers) => headers['grpc-encoding'] ?? 'identity')).not.toContain('gzip');
});
