import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StackError } from '../stack.js';

const VALID_DAYS = '30';
const execute = promisify(execFile);

/** A certificate with its key, as PEM files. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate is for: a server of these names and addresses, or a client. */
export type Purpose = { readonly dns: readonly string[]; readonly ips: readonly string[] } | 'client';

/**
 * Makes an authority of its own in a directory, by openssl, which has to be installed.
 *
 * @throws StackError SET_UP with what openssl says
 */
export async function createAuthority(directory: string, name: string): Promise<KeyPair> {
  const { cert, key } = files(directory, name);
  const config = join(directory, `${name}.cnf`);
  await writeFile(
    config,
    [
      '[req]',
      'distinguished_name = subject',
      'x509_extensions = authority',
      '[subject]',
      '[authority]',
      'basicConstraints = critical, CA:TRUE',
      'keyUsage = critical, keyCertSign, cRLSign',
      'subjectKeyIdentifier = hash',
      '',
    ].join('\n'),
  );
  await openssl(directory, [
    ...['req', '-x509', '-config', config, '-days', VALID_DAYS, '-subj', `/CN=${name}`],
    ...[...NEW_KEY, '-keyout', key, '-out', cert],
  ]);
  return { cert, key };
}

/** A certificate that an authority has signed; made beside each other in one directory. Throws as {@link createAuthority}. */
export async function issue(
  directory: string,
  authority: KeyPair,
  { name, purpose }: { readonly name: string; readonly purpose: Purpose },
): Promise<KeyPair> {
  const { cert, key } = files(directory, name);
  const request = join(directory, `${name}.csr`);
  const extensions = join(directory, `${name}.ext`);
  const names =
    purpose === 'client' ? [] : [...purpose.dns.map((dns) => `DNS:${dns}`), ...purpose.ips.map((ip) => `IP:${ip}`)];
  await writeFile(
    extensions,
    purpose === 'client'
      ? 'extendedKeyUsage = clientAuth\n'
      : `extendedKeyUsage = serverAuth\nsubjectAltName = ${names.join(', ')}\n`,
  );
  await openssl(directory, ['req', '-new', '-subj', `/CN=${name}`, ...NEW_KEY, '-keyout', key, '-out', request]);
  await openssl(directory, [
    ...['x509', '-req', '-in', request, '-days', VALID_DAYS, '-extfile', extensions],
    ...['-CA', authority.cert, '-CAkey', authority.key, '-set_serial', String(Date.now()), '-out', cert],
  ]);
  return { cert, key };
}

/** One file with a certificate and its key, as Kafka and haproxy want them. */
export async function joinPair({ cert, key }: KeyPair, file: string): Promise<string> {
  await writeFile(file, `${await readFile(key, 'utf8')}${await readFile(cert, 'utf8')}`, { mode: 0o600 });
  return file;
}

/** An elliptic curve: made at once, where RSA takes a second now and then. */
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function files(directory: string, name: string): KeyPair {
  return { cert: join(directory, `${name}.pem`), key: join(directory, `${name}.key`) };
}

async function openssl(directory: string, args: readonly string[]): Promise<void> {
  try {
    await execute('openssl', [...args], { cwd: directory });
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    throw new StackError('SET_UP', `openssl could not make a certificate: ${stderr || message}`, { cause: error });
  }
}
