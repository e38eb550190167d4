import { createPublicKey, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request for a token, as it came. */
export interface TokenAsk {
  readonly client: string;
  readonly secret: string;
  readonly form: Readonly<Record<string, string>>;
}

/**
 * An authorization server that gives signed tokens (RS256) to one client, by the grant `client_credentials`, and tells
 * their key at `/jwks`. It can be away for a while.
 */
export class TokenServer {
  readonly client = 'ktb-client';
  readonly audience = 'kafka';
  /** The requests that it has answered, whether with a token or not. */
  readonly asked: TokenAsk[] = [];
  secret = 'oauth-secret/with+signs %';
  lifeS = 3_600;
  /** Answers with this instead, if set. */
  answer: { readonly status: number; readonly body: string } | null = null;
  readonly #key: KeyObject;
  readonly #server: Server;
  #port = 0;

  private constructor() {
    this.#key = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<TokenServer> {
    const server = new TokenServer();
    await server.listen();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get tokenUrl(): string {
    return `${this.url}/token`;
  }

  /** Comes back, at the same address, after {@link TokenServer.close}. */
  async listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  token(lifeS = this.lifeS, audience = this.audience): string {
    const nowS = Math.floor(Date.now() / 1_000);
    const header = { alg: 'RS256', typ: 'JWT', kid: 'one' };
    const claims = { iss: this.url, aud: audience, sub: this.client, iat: nowS, exp: nowS + lifeS };
    const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${text}.${createSign('RSA-SHA256').update(text).sign(this.#key).toString('base64url')}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const reply = (status: number, body: object | string): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    if (request.url === '/jwks') {
      const key = { ...createPublicKey(this.#key).export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' };
      reply(200, { keys: [key] });
      return;
    }
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    const form = Object.fromEntries(new URLSearchParams(Buffer.concat(parts).toString()));
    const [client = '', secret = ''] = Buffer.from(
      request.headers.authorization?.slice('Basic '.length) ?? '',
      'base64',
    )
      .toString()
      .split(':')
      .map((text) => decodeURIComponent(text.replaceAll('+', ' ')));
    this.asked.push({ client, secret, form });
    if (this.answer !== null) {
      reply(this.answer.status, this.answer.body);
    } else if (client !== this.client || secret !== this.secret) {
      reply(401, { error: 'invalid_client', error_description: `wrong secret ${secret}` });
    } else {
      const token = this.token(this.lifeS, form['audience'] ?? this.audience);
      reply(200, { access_token: token, token_type: 'Bearer', expires_in: this.lifeS });
    }
  }
}
