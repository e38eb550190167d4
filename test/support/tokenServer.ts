import { createPublicKey, createSign, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
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
 * their key at `/jwks`, which its discovery document of OpenID Connect names. It can be away for a while.
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
  /** The paths that were asked for by GET. */
  readonly read: string[] = [];
  /** What its discovery document has instead. */
  discovery: Readonly<Record<string, unknown>> = {};
  #key = newKey();
  /** The name of the key. */
  #kid = 'one';
  readonly #server: Server;
  #port = 0;

  private constructor() {
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
    if (this.#server.listening) return;
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

  /** The key of its tokens, as it tells it. */
  get publicKey(): JsonWebKey {
    return { ...createPublicKey(this.#key).export({ format: 'jwk' }), kid: this.#kid, use: 'sig', alg: 'RS256' };
  }

  /** From now on it signs with another key, and tells only that one. */
  rotate(kid: string): void {
    this.#key = newKey();
    this.#kid = kid;
  }

  token(lifeS = this.lifeS, audience = this.audience): string {
    const nowS = Math.floor(Date.now() / 1_000);
    return this.sign({ iss: this.url, aud: audience, sub: this.client, iat: nowS, exp: nowS + lifeS });
  }

  /**
   * A token with these claims.
   *
   * @param signature makes the signature of a text. Default: that of its key
   */
  sign(
    claims: Readonly<Record<string, unknown>>,
    header: Readonly<Record<string, unknown>> = {},
    signature = (text: string): Buffer => createSign('RSA-SHA256').update(text).sign(this.#key),
  ): string {
    const text = [{ alg: 'RS256', typ: 'JWT', kid: this.#kid, ...header }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    return `${text}.${signature(text).toString('base64url')}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const reply = (status: number, body: object | string): void => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    if (request.method === 'GET' || request.url === '/jwks') {
      this.read.push(request.url ?? '');
      if (request.url === '/jwks') reply(200, { keys: [this.publicKey] });
      else if (request.url === '/.well-known/openid-configuration')
        reply(200, { issuer: this.url, jwks_uri: `${this.url}/jwks`, ...this.discovery });
      else reply(404, {});
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

function newKey(): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey;
}
