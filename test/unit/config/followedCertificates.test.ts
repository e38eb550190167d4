import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TlsConfig } from '../../../src/config/config.js';
import { secretProblems } from '../../../src/config/followedSecrets.js';
import { parseConfig } from '../../../src/config/load.js';
import { createAuthority, issue, type KeyPair } from '../../../stack/native/certificates.js';

let directory: string;
let authority: KeyPair;
let first: KeyPair;
let second: KeyPair;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ktb-followed-'));
  authority = await createAuthority(directory, 'ca');
  first = await issue(directory, authority, { name: 'first', purpose: 'client' });
  second = await issue(directory, authority, { name: 'second', purpose: 'client' });
});
afterAll(() => rmSync(directory, { recursive: true }));

const text = (path: string): string => readFileSync(path, 'utf8').trimEnd();

/** As somebody reads them who has waited before. */
async function told(tls: TlsConfig): Promise<TlsConfig> {
  await Promise.resolve();
  return { ...tls };
}

it.each(['kafka', 'temporal', 'clickhouse', 'schemaRegistry'] as const)(
  'certificates of %s are told as they are in their files now, and a certificate only with its key',
  async (part) => {
    const [ca, cert, key] = ['used-ca', 'used-cert', 'used-key'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    const use = (pair: KeyPair): void => {
      copyFileSync(pair.cert, cert);
      copyFileSync(pair.key, key);
    };
    copyFileSync(authority.cert, ca);
    use(first);
    const tls = `{ ca: "\${file:${ca}}", cert: "\${file:${cert}}", key: "\${file:${key}}" }`;
    const url = part === 'kafka' || part === 'temporal' ? '' : 'url: "https://localhost", ';
    const config = parseConfig(
      `${part}: { ${url}${part === 'kafka' ? 'ssl' : 'tls'}: ${tls} }\npipelines: { a: { topics: [a], table: a } }`,
      'ktb.yaml',
      {},
    );
    const followed = (part === 'kafka' ? config.kafka.ssl : config[part]?.tls) as TlsConfig;
    const ofFirst = { cert: text(first.cert), key: text(first.key) };
    const ofSecond = { cert: text(second.cert), key: text(second.key) };
    expect(await told(followed)).toEqual({ ca: text(authority.cert), ...ofFirst });
    copyFileSync(second.cert, cert);
    expect(await told(followed)).toMatchObject(ofFirst);
    const name = part === 'kafka' ? 'kafka.ssl' : `${part}.tls`;
    const files = `what the files of ${name}.cert and ${name}.key have now cannot be used`;
    expect(secretProblems(config)).toEqual([`${files}: key is not the key of cert`]);
    rmSync(key);
    expect(secretProblems(config)).toEqual([`${files}: a file is gone or blank`]);
    copyFileSync(second.key, key);
    expect(await told(followed)).toMatchObject(ofSecond);
    expect(secretProblems(config)).toEqual([]);
    writeFileSync(ca, 'no certificate');
    expect(await told(followed)).toEqual({ ca: text(authority.cert), ...ofSecond });
    copyFileSync(first.cert, ca);
    use(first);
    expect(await told(followed)).toEqual({ ca: text(first.cert), ...ofFirst });
  },
);
