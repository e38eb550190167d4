import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { listen } from '../lib/listening.js';

/** What stands in the way of readiness; empty when ready. */
export type Readiness = () => readonly string[];

/** The HTTP server for the supervisor and for Prometheus. */
export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves `/livez` (200 while the process can answer: it never depends on others), `/readyz` (503 with the reasons until
 * everything is in place and again while draining) and `/metrics`.
 *
 * @throws Error that says what to do where the address cannot be had
 */
export async function startHealthServer(
  address: { host: string; port: number },
  registry: Registry,
  readiness: Readiness,
): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type }).end(body);
    };
    // Cut by hand: `URL` throws for what some scanners ask, such as `//`, and here that would end the process.
    switch (request.url?.split('?', 1)[0]) {
      case '/livez':
        answer(200, 'text/plain', 'alive\n');
        break;
      case '/readyz': {
        const reasons = readiness();
        answer(
          reasons.length === 0 ? 200 : 503,
          'text/plain',
          reasons.length === 0 ? 'ready\n' : `${reasons.join('\n')}\n`,
        );
        break;
      }
      case '/metrics':
        registry.metrics().then(
          (text) => {
            answer(200, registry.contentType, text);
          },
          (error: unknown) => {
            answer(500, 'text/plain', String(error));
          },
        );
        break;
      default:
        answer(404, 'text/plain', 'there are /livez, /readyz and /metrics\n');
    }
  });
  await listen(server, address, 'http.listen');
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
