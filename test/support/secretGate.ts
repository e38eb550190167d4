import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  connect,
  createSecureServer,
  type ClientHttp2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket, type Server } from 'node:tls';
import type { KeyPair } from '../../stack/native/certificates.js';
import { passOn } from './httpProxy.js';

/** What a gate lets in. */
export interface Admission {
  /** The authority whose client certificates are let in, as a file. Undefined: none is asked for. */
  readonly clientCa?: string;
  /** The Authorization header. Undefined: any. */
  readonly authorization?: string;
  /** The server's own certificate. */
  readonly server: KeyPair;
}

/** A request that was let in. */
export interface Admitted {
  readonly authorization: string | undefined;
  /** The name in the client's certificate. */
  readonly client: string | undefined;
}

/**
 * TLS in front of a part that speaks none. It checks client certificates and the Authorization header, and what it lets
 * in can change while it runs. It is for HTTP (ClickHouse) or for gRPC (Temporal).
 */
export class SecretGate {
  readonly address: string;
  /** Requests that were let in, by who asked. */
  readonly admitted = new Map<string, number>();
  /** Requests that were refused for their Authorization header, and handshakes for their certificates. */
  refused = 0;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  #admission: Admission;

  private constructor(server: Server, admission: Admission) {
    this.#server = server;
    this.#admission = admission;
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
    server.on('tlsClientError', () => this.refused++);
  }

  /** @param target the address of ClickHouse's HTTP interface */
  static async inFrontOfClickHouse(target: string, admission: Admission): Promise<SecretGate> {
    const server = createServer(secureContext(admission));
    const gate = await SecretGate.#listen(server, admission);
    server.on('request', (incoming, outgoing) => {
      const { authorization, ...headers } = incoming.headers;
      if (gate.#lets(authorization, incoming.socket)) {
        // The ClickHouse behind it has no users.
        passOn(incoming, outgoing, { url: new URL(incoming.url ?? '/', target), headers });
        return;
      }
      incoming.resume();
      outgoing.writeHead(403, { 'X-ClickHouse-Exception-Code': '516' });
      outgoing.end('Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)');
    });
    return gate;
  }

  /** @param target Temporal's frontend, as `host:port` */
  static async inFrontOfTemporal(target: string, admission: Admission): Promise<SecretGate> {
    const server = createSecureServer(secureContext(admission));
    const gate = await SecretGate.#listen(server, admission);
    let upstream: ClientHttp2Session | undefined;
    const session = (): ClientHttp2Session => {
      if (upstream === undefined || upstream.closed || upstream.destroyed) {
        upstream = connect(`http://${target}`);
        upstream.on('error', () => undefined);
      }
      return upstream;
    };
    server.on('close', () => upstream?.destroy());
    server.on('sessionError', () => undefined);
    server.on('stream', (stream, headers) => {
      if (gate.#lets(headers.authorization, stream.session?.socket)) forward(stream, headers, session());
      else
        stream.respond(
          {
            ':status': 200,
            'content-type': 'application/grpc',
            'grpc-status': '16',
            'grpc-message': 'Request unauthorized.',
          },
          { endStream: true },
        );
    });
    return gate;
  }

  static async #listen(server: Server, admission: Admission): Promise<SecretGate> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SecretGate(server, admission);
  }

  /** From now on lets in something else, and ends all connections, as a server that was restarted. */
  change(admission: Admission): void {
    this.#admission = admission;
    this.#server.setSecureContext(secureContext(admission));
    for (const socket of this.#sockets) socket.destroy();
  }

  /** How many requests were let in with this header, from a client with this certificate. */
  count({ authorization, client }: Admitted): number {
    return this.admitted.get(nameOf({ authorization, client })) ?? 0;
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #lets(authorization: string | undefined, socket: Socket | undefined): boolean {
    if (this.#admission.authorization !== undefined && authorization !== this.#admission.authorization) {
      this.refused++;
      return false;
    }
    const name = nameOf({ authorization, client: nameOfClient(socket) });
    this.admitted.set(name, (this.admitted.get(name) ?? 0) + 1);
    return true;
  }
}

/** Undefined without a certificate. */
function nameOfClient(socket: Socket | undefined): string | undefined {
  const certificate: Partial<ReturnType<TLSSocket['getPeerCertificate']>> =
    socket instanceof TLSSocket ? socket.getPeerCertificate() : {};
  const name = certificate.subject?.CN;
  return typeof name === 'string' ? name : undefined;
}

function nameOf({ authorization, client }: Admitted): string {
  return JSON.stringify([authorization ?? null, client ?? null]);
}

function secureContext({ clientCa, server }: Admission) {
  return {
    cert: readFileSync(server.cert),
    key: readFileSync(server.key),
    ...(clientCa === undefined ? {} : { ca: readFileSync(clientCa), requestCert: true, rejectUnauthorized: true }),
  };
}

function forward(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, session: ClientHttp2Session): void {
  const { ':authority': _authority, ':scheme': _scheme, ...others } = headers;
  const upstream = session.request(others);
  let trailers: IncomingHttpHeaders = {};
  upstream.on('response', (answer, flags) => {
    if (stream.destroyed) return;
    const END_OF_STREAM = 1;
    stream.respond(answer, (flags & END_OF_STREAM) === 0 ? { waitForTrailers: true } : { endStream: true });
  });
  upstream.on('trailers', (given: IncomingHttpHeaders) => (trailers = given));
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.on('error', () => upstream.destroy());
  upstream.on('error', () => stream.destroy());
  stream.on('close', () => upstream.close());
  upstream.on('close', () => {
    if (!stream.writableEnded) stream.close();
  });
  stream.pipe(upstream);
  upstream.pipe(stream);
}
