import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PayloadCipher } from '../../codecs/payloadCipher.js';
import { isPort, PORT_TOO_HIGH } from '../../config/addresses.js';
import { loadEncryption } from '../../config/load.js';
import { readFirst, whyUnreadable } from '../../config/textFiles.js';
import { createLogger, type Logger } from '../../telemetry/logging.js';
import { Authorization, type Asker, type AuthorizationOptions } from './authorization.js';
import { decodePayloads, decryptPayloads, type WirePayload } from './codecPayloads.js';
import { listen as listenOn } from '../../lib/listening.js';
import { isLoopback } from '../../lib/loopback.js';
import { UsageError } from '../../lib/usageError.js';

type Log = Pick<Logger, 'info' | 'warn' | 'error'>;

export interface CodecServerOptions extends AuthorizationOptions {
  /** A file with the token, instead of it. It is read at the start. */
  readonly tokenFile?: string | undefined;
  /** `address:port`; port 0 takes a free one. Open to other machines only if requests need a token. */
  readonly listen: string;
  /** Origins of the pages that may ask: addresses of the Temporal UI. */
  readonly origin: readonly string[];
  /** The configuration whose keys decrypt. Nothing else of it is read. Without it nothing is decrypted. */
  readonly config?: string;
  /** Default: the standard output. */
  readonly logger?: Log;
}

/** What answers requests. */
interface Answering {
  readonly origins: readonly string[];
  readonly authorization: Authorization;
  readonly cipher: PayloadCipher;
  readonly logger: Log;
}

/** Payloads of one event, in Base64. Each has at most 2 MiB in Temporal. */
const BODY_BYTES_MAX = 32 * 1024 * 1024;
const PREFLIGHT_MAX_AGE_SECONDS = 600;

/** `ktb codec-server`: lets people read packed records in the Temporal UI and CLI. Runs until SIGTERM or Ctrl-C. */
export async function codecServer(options: CodecServerOptions): Promise<void> {
  const { server, port } = await startCodecServer(options);
  console.log(`The codec server listens on port ${port}; allowed pages: ${options.origin.join(', ')}`);
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  server.close();
  server.closeAllConnections();
}

/**
 * Serves `/decode` and `/encode` of Temporal's codec server protocol, under any path before them. Encoding does not
 * change payloads, because signals sent by hand have none of ours.
 *
 * @throws Error if it cannot listen there. UsageError if the address is none, or other machines would be served without a
 *   token
 */
export async function startCodecServer({
  listen,
  origin: origins,
  config,
  logger = createLogger({ level: 'info', format: 'auto' }),
  token,
  tokenFile,
  ...who
}: CodecServerOptions): Promise<{ server: Server; port: number }> {
  const [, host = '', port = ''] = /^(.*):(\d{1,5})$/.exec(listen) ?? [];
  if (port === '') throw new UsageError(`--listen ${listen} is no address and port, such as 127.0.0.1:8081`);
  if (!isPort(listen)) throw new UsageError(`--listen ${listen} ${PORT_TOO_HIGH}`);
  const authorization = new Authorization({
    ...who,
    token: tokenFile === undefined ? token : tokenIn(tokenFile, token),
  });
  if (authorization.isOpen && !isLoopback(host))
    throw new UsageError(
      `--listen ${listen} is open to others, who could read all records: set KTB_CODEC_TOKEN or --oidc-issuer, or listen on 127.0.0.1`,
    );
  const keys = config === undefined ? NO_KEYS : { ...loadEncryption(config), active: null };
  await tryIssuer(authorization, logger);
  const answering = { origins, authorization, cipher: new PayloadCipher(keys), logger };
  const server = createServer((request, response) => {
    const { origin } = request.headers;
    response.setHeader('vary', 'origin');
    if (origin !== undefined && origins.includes(origin)) {
      response.setHeader('access-control-allow-origin', origin);
      response.setHeader('access-control-allow-credentials', 'true');
    }
    answerTo(request, answering).then(
      ({ status, headers, body }) => {
        response.writeHead(status, headers).end(body);
      },
      (error: unknown) => {
        // The connection broke or was closed early. Nobody is left to get the error.
        response.destroy(error instanceof Error ? error : undefined);
      },
    );
  });
  await listenOn(server, { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }, '--listen');
  return { server, port: (server.address() as AddressInfo).port };
}

function tokenIn(file: string, token: string | undefined): string {
  if (token !== undefined)
    throw new UsageError('--token (KTB_CODEC_TOKEN) and --token-file (KTB_CODEC_TOKEN_FILE) are both set: set one');
  try {
    return readFirst(file).trim();
  } catch (error) {
    throw new UsageError(`--token-file: ${file} ${whyUnreadable(error)}`);
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const PREFLIGHT: Answer = {
  status: 204,
  headers: {
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': 'authorization, content-type, x-namespace',
    'access-control-max-age': String(PREFLIGHT_MAX_AGE_SECONDS),
  },
  body: '',
};

const NO_KEYS = { keys: new Map<string, Uint8Array>(), active: null };

/** A wrong address shows at once, and not when the first user asks. An issuer that is away may come back. */
async function tryIssuer(authorization: Authorization, logger: Log): Promise<void> {
  const problem = await authorization.problem();
  if (problem !== null) logger.error({ problem }, 'The issuer gives no keys: until it does, its users are refused');
  if (authorization.isForAllUsers)
    logger.warn('Each user of the issuer who gets a token for the audience may read records: --oidc-allow limits it');
}

async function answerTo(request: IncomingMessage, answering: Answering): Promise<Answer> {
  const { authorization, cipher, logger } = answering;
  const strange = whyStrange(request, answering);
  if (strange !== null) {
    logger.warn({ ...whereFrom(request), reason: strange }, 'Refused');
    return refusal(403, strange);
  }
  if (request.method === 'OPTIONS') return PREFLIGHT;
  const [, step] = /^[^?]*\/(decode|encode)(?:\?|$)/.exec(request.url ?? '') ?? [];
  if (step === undefined) return refusal(404, 'there are /decode and /encode');
  if (request.method !== 'POST') return refusal(405, 'POST it');
  const asked = whereFrom(request);
  const verdict = await authorization.verdictOn(request);
  const by = whoIs(verdict);
  if ('status' in verdict) {
    const { status, reason, detail = reason } = verdict;
    logger[status === 503 ? 'error' : 'warn']({ ...by, ...asked, reason: shortened(detail) }, 'Refused');
    return refusal(status, reason);
  }
  const body = await readBody(request);
  if (body === null) return refusal(413, `more than ${BODY_BYTES_MAX} bytes`);
  const payloads = parsePayloads(body);
  if (payloads === null) return refusal(400, 'no JSON with a list of payloads');
  if (step === 'encode') return found(payloads);
  const { payloads: plain, decrypted } = decryptPayloads(payloads, cipher);
  logger.info({ ...by, ...asked, payloads: payloads.length, decrypted }, 'Decoded');
  return found(decodePayloads(plain));
}

/**
 * Why a request is of a page that may not ask, whoever looks at it. Null if it is not. A page of a stranger can have its own name
 * lead to this machine, and is then of the same origin as the server (DNS rebinding). Without a token that would be enough.
 */
function whyStrange({ headers: { origin, host = '' } }: IncomingMessage, answering: Answering): string | null {
  if (origin !== undefined && !answering.origins.includes(origin))
    return `pages of ${shortened(origin)} may not ask: --origin names those that may`;
  if (answering.authorization.isOpen && !isLoopback(host.replace(/:\d+$/, '').toLowerCase()))
    return `without a token only localhost is served, not ${shortened(host)}: set KTB_CODEC_TOKEN or --oidc-issuer`;
  return null;
}

function found(payloads: readonly WirePayload[]): Answer {
  return { status: 200, headers: JSON_TYPE, body: JSON.stringify({ payloads }) };
}

/** Who asks, for the log. */
function whoIs({ by, via, sub }: Partial<Asker>): Readonly<Record<string, string>> {
  const known = Object.entries({ by, via, sub }).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(known.map(([key, text]) => [key, shortened(text)]));
}

/** Where a request comes from and what it is about, for the log. Never what is asked for. */
function whereFrom({ headers, socket }: IncomingMessage): Readonly<Record<'from' | 'namespace', string>> {
  return { from: socket.remoteAddress ?? '', namespace: shortened(String(headers['x-namespace'] ?? '')) };
}

function shortened(text: string): string {
  return text.slice(0, LOGGED_CHARACTERS_MAX);
}

const LOGGED_CHARACTERS_MAX = 200;

const JSON_TYPE = { 'content-type': 'application/json', 'cache-control': 'no-store' };

function refusal(status: number, message: string): Answer {
  return { status, headers: JSON_TYPE, body: JSON.stringify({ message }) };
}

/** Null if it is too large. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) return null;
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

/** Null if it is no request of the protocol. */
function parsePayloads(body: string): WirePayload[] | null {
  try {
    const { payloads } = JSON.parse(body) as { payloads?: unknown };
    return Array.isArray(payloads) && payloads.every(isPayload) ? payloads : null;
  } catch {
    return null; // No JSON.
  }
}

function isPayload(payload: unknown): payload is WirePayload {
  if (typeof payload !== 'object' || payload === null) return false;
  const { metadata = {}, data = '' } = payload as { metadata?: unknown; data?: unknown };
  return (
    typeof data === 'string' &&
    typeof metadata === 'object' &&
    metadata !== null &&
    Object.values(metadata).every((value) => typeof value === 'string')
  );
}
