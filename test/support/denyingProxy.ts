import { passOn } from './httpProxy.js';
import { openHttpServer, type HttpServer } from './httpServer.js';

/**
 * Starts an HTTP proxy in front of ClickHouse that answers as a server does whose user may not read some tables.
 *
 * @param denied tables, as statements name them
 */
export function startDenyingProxy(target: string, denied: readonly string[]): Promise<HttpServer> {
  return openHttpServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks);
      const table = denied.find((name) => body.includes(`${name} `));
      if (table === undefined) {
        passOn(incoming, outgoing, { url: new URL(incoming.url ?? '/', target), body });
        return;
      }
      outgoing.writeHead(403, { 'X-ClickHouse-Exception-Code': '497' });
      outgoing.end(
        `Code: 497. DB::Exception: ktb: Not enough privileges. To execute this query, it's necessary to have the grant SELECT ON ${table}. (ACCESS_DENIED) (version 26.7.1.1)`,
      );
    });
  });
}
