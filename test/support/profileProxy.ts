import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An HTTP proxy in front of ClickHouse that makes a settings profile of its user: what a request does not set is as the profile has it. */
export class ProfileProxy {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** @param constant settings of the profile that a request may not change */
  static async start(
    target: string,
    profile: Readonly<Record<string, string>>,
    constant: readonly string[] = [],
  ): Promise<ProfileProxy> {
    const server = createServer((incoming, outgoing) => {
      const url = new URL(incoming.url ?? '/', target);
      const changed = constant.find(
        (name) => url.searchParams.has(name) && url.searchParams.get(name) !== profile[name],
      );
      if (changed !== undefined) {
        incoming.resume();
        outgoing.writeHead(500, { 'X-ClickHouse-Exception-Code': '452', 'X-ClickHouse-Summary': '{}' });
        outgoing.end(
          `Code: 452. DB::Exception: Setting ${changed} should not be changed. (SETTING_CONSTRAINT_VIOLATION) (version 26.7.1.1)`,
        );
        return;
      }
      for (const [name, value] of Object.entries(profile))
        if (!url.searchParams.has(name)) url.searchParams.set(name, value);
      const { method, headers } = incoming;
      const upstream = request(url, { method, headers: { ...headers, host: url.host } }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      upstream.on('error', () => outgoing.destroy());
      incoming.pipe(upstream);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ProfileProxy(server);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
