import type { ConnectionOptions } from 'node:tls';
import type { TlsConfig } from './config.js';

/** A connection's `tls` of the configuration as Node takes it; nothing that is not set, since that would replace a default. */
export function tlsOptions({ ca, cert, key, serverName }: TlsConfig): ConnectionOptions {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}
