import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createClickHouse } from '../../../src/clickhouse/clients.js';
import type { ClickHouseConfig } from '../../../src/config/config.js';
import { createAuthority, issue } from '../../../stack/native/certificates.js';

type Changing<T> = { -readonly [Key in keyof T]: T[Key] };

it('each request has the login of now, and each new connection the certificates of now', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-clients-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const authority = await createAuthority(directory, 'ca');
  const [server, first, second] = await Promise.all([
    issue(directory, authority, { name: 'server', purpose: { dns: ['localhost'], ips: ['127.0.0.1'] } }),
    issue(directory, authority, { name: 'first', purpose: 'client' }),
    issue(directory, authority, { name: 'second', purpose: 'client' }),
  ]);
  const text = (path: string): string => readFileSync(path, 'utf8');
  const ca = text(authority.cert);
  const seen: string[] = [];
  const listening = createServer(
    { ca, cert: text(server.cert), key: text(server.key), requestCert: true },
    ({ headers, socket }, response) => {
      const name = socket instanceof TLSSocket ? socket.getPeerCertificate().subject.CN : undefined;
      seen.push(`${String(name)} ${headers.authorization}`);
      response.end('ping\n');
    },
  );
  // The third comes on another connection.
  listening.maxRequestsPerSocket = 2;
  await once(listening.listen(0, '127.0.0.1'), 'listening');
  const tls = { ca, cert: text(first.cert), key: text(first.key) };
  const config: Changing<ClickHouseConfig> = {
    urls: [`https://127.0.0.1:${(listening.address() as AddressInfo).port}`],
    ...{ username: 'ann', password: 'one', accessToken: null, tls, database: 'default', settings: {} },
    ...{ maxConnections: 2, requestTimeoutMs: 5_000, lookUpTimeoutMs: 5_000 },
  };
  const client = createClickHouse(config);
  onTestFinished(async () => {
    await client.close();
    listening.closeAllConnections();
    listening.close();
  });
  const ask = async (): Promise<void> => expect(await client.ping({ select: true })).toEqual({ success: true });
  const basic = (login: string): string => `Basic ${Buffer.from(login).toString('base64')}`;
  await ask();
  Object.assign(config, { username: 'bob', password: 'two' });
  Object.assign(tls, { cert: text(second.cert), key: text(second.key) });
  await ask();
  await ask();
  config.accessToken = 'token';
  await ask();
  expect(seen).toEqual([
    `first ${basic('ann:one')}`,
    `first ${basic('bob:two')}`,
    `second ${basic('bob:two')}`,
    'second Bearer token',
  ]);
});
