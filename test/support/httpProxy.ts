import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An HTTP proxy of a test. */
export interface HttpProxy {
  readonly url: string;
  close(): Promise<void>;
}

/** @param handle answers a request, or passes it on by {@link passOn} */
export async function startHttpProxy(
  handle: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
): Promise<HttpProxy> {
  const server = createServer(handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/**
 * Passes a request on, and its answer back.
 *
 * @param body if it was read already
 */
export function passOn(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { url, headers = incoming.headers, body }: { url: URL; headers?: OutgoingHttpHeaders; body?: Buffer },
): void {
  const upstream = request(url, { method: incoming.method, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  upstream.on('error', () => outgoing.destroy());
  if (body === undefined) incoming.pipe(upstream);
  else upstream.end(body);
}
