import { connect as connectPlain } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { TlsConfig } from '../config/config.js';
import { tlsOptions } from '../config/tlsOptions.js';

/** An address that a client could not use, and how the configuration says to connect to it. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** `false` means without TLS. */
  readonly tls: TlsConfig | boolean;
  /** The name of the setting: `kafka.ssl`. */
  readonly key: string;
  /** Protocols to offer, such as `h2`. */
  readonly protocols?: readonly string[];
}

const HANDSHAKE_WITHIN_MS = 1_500;
/** With TLS 1.3 a server refuses a client certificate only after the client thinks that the handshake is done. */
const REFUSAL_WITHIN_MS = 500;

/**
 * Finds out why TLS with an endpoint fails, and says what to do. The clients' own errors say "transport error", "socket
 * hang up", or nothing until they time out. Never rejects.
 *
 * @returns null if nothing is wrong with TLS, or the reason is not known
 */
export async function handshakeProblem(endpoint: Endpoint): Promise<string | null> {
  const { host, port, tls, key } = endpoint;
  if (tls === false) {
    const speaksTls = (await handshake(endpoint, { rejectUnauthorized: false })).handshaken;
    return speaksTls ? `${host}:${port} speaks TLS: set ${keyToTurnOn(key)}` : null;
  }
  const { error } = await handshake(endpoint, tls === true ? {} : tlsOptions(tls));
  return error === null || !(await listens(endpoint)) ? null : explain(error, endpoint);
}

interface Outcome {
  readonly handshaken: boolean;
  readonly error: NodeJS.ErrnoException | null;
}

function handshake({ host, port, protocols }: Endpoint, options: ConnectionOptions): Promise<Outcome> {
  return new Promise((resolve) => {
    let handshaken = false;
    const servername = /^[\d.]+$|:/.test(host) ? {} : { servername: host };
    const socket = connectTls({
      host,
      port,
      ...servername,
      ...(protocols === undefined ? {} : { ALPNProtocols: [...protocols] }),
      ...options,
    });
    const end = (error: NodeJS.ErrnoException | null): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ handshaken, error });
    };
    let timer = setTimeout(() => end(new Error('no answer')), HANDSHAKE_WITHIN_MS);
    socket.once('secureConnect', () => {
      handshaken = true;
      clearTimeout(timer);
      timer = setTimeout(() => end(null), REFUSAL_WITHIN_MS);
      // Without this the refusal would not be read.
      socket.resume();
    });
    socket.once('error', end);
  });
}

/** Whether anything accepts connections there. If not, TLS is not the problem. */
function listens({ host, port }: Endpoint): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectPlain({ host, port, timeout: HANDSHAKE_WITHIN_MS });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

/** Explains by the error codes of Node and OpenSSL. Their messages contain names and reasons, nothing of a key. */
function explain(error: NodeJS.ErrnoException, { host, port, tls, key }: Endpoint): string {
  const at = `${host}:${port}`;
  const code = error.code ?? '';
  if (/SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|CERT_UNTRUSTED|INVALID_CA/.test(code))
    return `the certificate of ${at} is not signed by an authority that is trusted here (${error.message}): set ${key}.ca to the one that signed it`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the certificate of ${at} is for another name (${error.message}): use that name as the address, or set ${key}.serverName`;
  if (/CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/.test(code))
    return `the certificate of ${at} is not valid now (${error.message}): renew it, or set the clock`;
  // A server in Java calls a missing certificate a bad one.
  const hasNone = typeof tls !== 'object' || tlsOptions(tls).cert === undefined;
  if (code.includes('CERTIFICATE_REQUIRED') || (hasNone && code.includes('ALERT_BAD_CERTIFICATE')))
    return `${at} wants a client certificate: set ${key}.cert and ${key}.key`;
  if (/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE|DECRYPT_ERROR|ACCESS_DENIED)/.test(code))
    return `${at} refuses the client certificate (${reasonOf(error)}): set ${key}.cert and ${key}.key to one that its authority has signed`;
  if (code.includes('HANDSHAKE_FAILURE'))
    return `${at} refuses the TLS handshake (${reasonOf(error)}): where it wants a client certificate, set ${key}.cert and ${key}.key`;
  return `${at} does not answer in TLS (${reasonOf(error)}): see whether the port is right, or take ${key} away`;
}

/**
 * The reason in an error of OpenSSL, `...:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:../deps/...:SSL alert
 * number 48`.
 */
function reasonOf({ message }: Error): string {
  return /SSL routines:[^:]*:([^:]+)/.exec(message)?.[1] ?? message;
}

function keyToTurnOn(key: string): string {
  return key === 'clickhouse.tls' ? 'clickhouse.url to an https:// address' : `${key}: true, or its ca`;
}
