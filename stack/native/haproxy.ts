import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HOST } from '../ports.js';
import { haproxyCommand } from '../prerequisites.js';
import { mustAccept } from '../probes.js';
import type { StackTls } from '../stack.js';
import { onFreePorts, type NativeContext } from './context.js';
import { NativePart } from './part.js';
import type { TlsFiles } from './tls.js';

const START_WITHIN_MS = 10_000;
const STOP_WITHIN_MS = 5_000;

/** haproxy in front of Temporal and ClickHouse, which speak no TLS here. */
export interface NativeHaproxy {
  readonly addresses: Pick<StackTls, 'temporal' | 'clickhouse'>;
  readonly part: NativePart;
}

/** Where the parts themselves listen, as `host:port`. */
export interface Backends {
  readonly temporal: string;
  readonly clickhouse: string;
}

/** Starts haproxy. */
export function startHaproxy(files: TlsFiles, backends: Backends, context: NativeContext): Promise<NativeHaproxy> {
  return context.progress.step('haproxy', 'start haproxy', () =>
    onFreePorts(4, async (ports) => {
      const [apiKey = '', mutual = '', https = '', mutualHttps = ''] = ports.map((port) => `${HOST}:${port}`);
      const config = join(files.directory, `haproxy-${ports[0]}.cfg`);
      const fronts: Fronts = { apiKey, mutual, https, mutualHttps };
      await writeFile(config, configuration(files, fronts, backends), { mode: 0o600 });
      const part = new NativePart(
        {
          name: 'haproxy',
          process: {
            command: haproxyCommand(),
            args: ['-db', '-f', config],
            cwd: files.directory,
            logFile: join(files.directory, 'haproxy.log'),
          },
          probe: async () => {
            for (const address of Object.values(fronts) as string[]) await mustAccept(address);
          },
          startWithinMs: START_WITHIN_MS,
          stopWithinMs: STOP_WITHIN_MS,
        },
        context,
      );
      await part.start(context.signal);
      return {
        part,
        addresses: {
          temporal: { apiKeyAddress: apiKey, mutualAddress: mutual },
          clickhouse: { url: `https://${https}`, mutualUrl: `https://${mutualHttps}` },
        },
      };
    }),
  );
}

interface Fronts {
  readonly apiKey: string;
  readonly mutual: string;
  readonly https: string;
  readonly mutualHttps: string;
}

/** Credentials are checked here, and answered as Temporal Cloud and ClickHouse answer wrong ones. */
function configuration(files: TlsFiles, fronts: Fronts, backends: Backends): string {
  const bind = (address: string, ...more: string[]): string =>
    `bind ${address} ssl crt ${files.server} ${more.join(' ')}`;
  const verified = `ca-file ${files.ca} verify required`;
  const basic = Buffer.from(`${files.client.username}:${files.password}`).toString('base64');
  const refusal =
    'Code: 516. DB::Exception: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)';
  return `
defaults
  mode http
  timeout connect 5s
  # A worker waits for a task for a minute.
  timeout client 10m
  timeout server 10m

frontend temporal-api-key
  ${bind(fronts.apiKey, 'alpn h2')}
  acl known req.hdr(authorization) -m str "Bearer ${files.apiKey}"
  http-request return status 200 content-type application/grpc hdr grpc-status 16 hdr grpc-message "Request unauthorized." unless known
  default_backend temporal

frontend temporal-mutual
  ${bind(fronts.mutual, 'alpn h2', verified)}
  default_backend temporal

backend temporal
  server temporal ${backends.temporal} proto h2

frontend clickhouse
  ${bind(fronts.https)}
  default_backend clickhouse

frontend clickhouse-mutual
  ${bind(fronts.mutualHttps, verified)}
  default_backend clickhouse

backend clickhouse
  acl known req.hdr(authorization) -m str "Basic ${basic}"
  acl known req.hdr(authorization) -m str "Bearer ${files.accessToken}"
  http-request return status 403 content-type text/plain hdr X-ClickHouse-Exception-Code 516 string "${refusal}" unless known
  # The ClickHouse behind it has no users.
  http-request del-header authorization
  server clickhouse ${backends.clickhouse}
`;
}
