import { once } from 'node:events';
import { createServer, type RequestListener, type ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import { atTestEnd } from './besideOthers.js';

/** An HTTP server of a test. */
export interface HttpServer {
  /** Without a slash at its end. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves HTTP on a free port until it is closed. */
export async function openHttpServer(handle: RequestListener, options: ServerOptions = {}): Promise<HttpServer> {
  const server = createServer(options, handle);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** Serves HTTP on a free port until the test is over. Gives the address, without a slash at its end. */
export async function startHttpServer(handle: RequestListener, options: ServerOptions = {}): Promise<string> {
  const server = await openHttpServer(handle, options);
  atTestEnd(() => server.close());
  return server.url;
}
