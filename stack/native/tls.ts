import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HOST } from '../ports.js';
import type { StackTls } from '../stack.js';
import { createAuthority, issue, joinPair } from './certificates.js';

/** A name that the servers' certificate is also for, to be asked for as the server's name. */
const OTHER_NAME = 'temporal.example.com';

/** Certificates and secrets of a stack with TLS, all made anew at its start. */
export interface TlsFiles {
  readonly directory: string;
  readonly ca: string;
  /** Certificate and key of every server, in one file. */
  readonly server: string;
  /** What clients are given. */
  readonly client: Pick<
    StackTls,
    'ca' | 'cert' | 'key' | 'username' | 'passwordFile' | 'apiKeyFile' | 'accessTokenFile'
  >;
  readonly password: string;
  readonly apiKey: string;
  readonly accessToken: string;
}

/** Makes an authority, a certificate for the servers, one for clients, and secrets, in the stack's data directory. */
export async function createTlsFiles(dataDir: string): Promise<TlsFiles> {
  const directory = join(dataDir, 'tls');
  await mkdir(directory, { mode: 0o700 });
  const authority = await createAuthority(directory, 'ca');
  const [server, client] = await Promise.all([
    issue(directory, authority, { name: 'server', purpose: { dns: ['localhost', OTHER_NAME], ips: [HOST] } }),
    issue(directory, authority, { name: 'client', purpose: 'client' }),
  ]);
  const secret = async (name: string): Promise<{ file: string; text: string }> => {
    const text = randomBytes(18).toString('base64url');
    const file = join(directory, name);
    await writeFile(file, `${text}\n`, { mode: 0o600 });
    return { file, text };
  };
  const [password, apiKey, accessToken] = await Promise.all([
    secret('password'),
    secret('api-key'),
    secret('access-token'),
  ]);
  return {
    directory,
    ca: authority.cert,
    server: await joinPair(server, join(directory, 'server-with-key.pem')),
    client: {
      ca: authority.cert,
      ...client,
      username: 'ktb',
      passwordFile: password.file,
      apiKeyFile: apiKey.file,
      accessTokenFile: accessToken.file,
    },
    password: password.text,
    apiKey: apiKey.text,
    accessToken: accessToken.text,
  };
}
