import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An HTTP proxy in front of ClickHouse that answers as a server does whose user may not read some tables. */
export class DenyingProxy {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** @param denied tables, as statements name them */
  static async start(target: string, denied: readonly string[]): Promise<DenyingProxy> {
    const server = createServer((incoming, outgoing) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const body = Buffer.concat(chunks);
        const table = denied.find((name) => body.includes(`${name} `));
        if (table !== undefined) {
          outgoing.writeHead(403, { 'X-ClickHouse-Exception-Code': '497' });
          outgoing.end(
            `Code: 497. DB::Exception: ktb: Not enough privileges. To execute this query, it's necessary to have the grant SELECT ON ${table}. (ACCESS_DENIED) (version 26.7.1.1)`,
          );
          return;
        }
        const { method, headers } = incoming;
        const upstream = request(new URL(incoming.url ?? '/', target), { method, headers }, (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
        });
        upstream.on('error', () => outgoing.destroy());
        upstream.end(body);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new DenyingProxy(server);
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
