import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { hasToken } from '../lib/bearerToken.js';
import { listen } from '../lib/listening.js';

/** The reasons why the process is not ready. Empty when it is. */
export type Readiness = () => readonly string[];

/** The HTTP server for probes and for Prometheus. */
export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves three paths:
 *
 * - `/livez`: 200 while the process can answer. It never depends on anything else.
 * - `/readyz`: 503 with the reasons until everything is ready, and again while draining.
 * - `/metrics`: 401 without the token, if there is one.
 *
 * @throws Error that says what to do if it cannot listen there
 */
export async function startHealthServer(
  settings: { readonly host: string; readonly port: number; readonly metricsToken: string | null },
  registry: Registry,
  readiness: Readiness,
): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type }).end(body);
    };
    // Not parsed with `URL`: that throws for some scanners' requests, such as `//`, and the error would end the
    // process.
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
        if (settings.metricsToken !== null && !hasToken(request.headers.authorization, settings.metricsToken)) {
          response.setHeader('www-authenticate', 'Bearer');
          answer(401, 'text/plain', '/metrics wants the bearer token of http.metricsToken\n');
          break;
        }
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
  await listen(server, settings, 'http.listen');
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
