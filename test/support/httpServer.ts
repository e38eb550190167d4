import { once } from 'node:events';
import { createServer, type RequestListener, type ServerOptions } from 'node:http';
import type { AddressInfo } from 'node:net';
import { atTestEnd } from './besideOthers.js';

/** Serves HTTP on a free port until the test is over. Gives the address, without a slash at its end. */
export async function startHttpServer(handle: RequestListener, options: ServerOptions = {}): Promise<string> {
  const server = createServer(options, handle);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  atTestEnd(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
