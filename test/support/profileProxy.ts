import { passOn } from './httpProxy.js';
import { openHttpServer, type HttpServer } from './httpServer.js';

/**
 * Starts an HTTP proxy in front of ClickHouse that makes a settings profile of its user: what a request does not set is as
 * the profile has it.
 *
 * @param constant settings of the profile that a request may not change
 */
export function startProfileProxy(
  target: string,
  profile: Readonly<Record<string, string>>,
  constant: readonly string[] = [],
): Promise<HttpServer> {
  return openHttpServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '/', target);
    const changed = constant.find((name) => url.searchParams.has(name) && url.searchParams.get(name) !== profile[name]);
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
    passOn(incoming, outgoing, { url, headers: { ...incoming.headers, host: url.host } });
  });
}
