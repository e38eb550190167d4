import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import type { CheckedParts, ConfigProblem } from './configProblem.js';

interface Certificates {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/**
 * Finds problems of the connections' certificates, which the libraries would report in OpenSSL's words or not at all.
 * No message contains any of a certificate's text. References in the configuration have to be resolved before.
 */
export function certificateProblems({
  kafka,
  temporal,
  clickhouse,
  schemaRegistry,
}: CheckedParts): readonly ConfigProblem[] {
  return [
    ...problemsOf(['kafka', 'ssl'], kafka.ssl),
    ...problemsOf(['temporal', 'tls'], temporal.tls),
    ...problemsOf(['clickhouse', 'tls'], clickhouse.tls),
    ...problemsOf(['schemaRegistry', 'tls'], schemaRegistry?.tls),
  ];
}

/** What is wrong with certificates that belong together. Null if nothing is. */
export function whyUnusable(certificates: Certificates): string | null {
  const [problem] = problemsOf([], certificates);
  return problem === undefined ? null : `${problem.path.join('.')} ${problem.message}`;
}

function problemsOf(path: readonly string[], tls: Certificates | boolean | undefined): ConfigProblem[] {
  if (typeof tls !== 'object') return [];
  const { ca, cert, key } = tls;
  const problems: ConfigProblem[] = [];
  const complain = (name: string, message: string): void => {
    problems.push({ path: [...path, name], message });
  };
  const read = <T>(name: string, pem: string | undefined, reader: (pem: string) => T | Unreadable): T | undefined => {
    const result = pem === undefined ? undefined : reader(pem);
    if (!(result instanceof Unreadable)) return result;
    complain(name, result.reason);
    return undefined;
  };
  read('ca', ca, readCertificate);
  const certificate = read('cert', cert, readCertificate);
  const privateKey = read('key', key, readKey);
  if (cert !== undefined && key === undefined) complain('cert', 'has no key beside it: set key, too');
  if (key !== undefined && cert === undefined) complain('key', 'has no cert beside it: set cert, too');
  if (certificate !== undefined && privateKey !== undefined && !certificate.checkPrivateKey(privateKey))
    complain('key', 'is not the key of cert');
  return problems;
}

/** Why a text cannot be read as a certificate or key. */
class Unreadable {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

function readCertificate(pem: string): X509Certificate | Unreadable {
  try {
    return new X509Certificate(pem);
  } catch {
    return new Unreadable(`must be a certificate in PEM (-----BEGIN CERTIFICATE-----)${fileInstead(pem)}`);
  }
}

function readKey(pem: string): KeyObject | Unreadable {
  try {
    return createPrivateKey(pem);
  } catch {
    // `BEGIN ENCRYPTED PRIVATE KEY`, or the older `Proc-Type: 4,ENCRYPTED`.
    if (/-----BEGIN [^-]*ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(pem))
      return new Unreadable(
        'is encrypted with a passphrase: give it without one, from a file that only this user may read',
      );
    return new Unreadable(`must be a private key in PEM (-----BEGIN PRIVATE KEY-----)${fileInstead(pem)}`);
  }
}

/** A hint for the usual mistake, which is to give the name of the file. */
function fileInstead(text: string): string {
  return text.includes('-----') || text.includes('\n') ? '' : '; of a file as "${file:/path/name.pem}"';
}
