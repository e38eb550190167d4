import { request, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';

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
