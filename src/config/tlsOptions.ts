import type { ConnectionOptions } from 'node:tls';
import type { TlsConfig } from './config.js';

/**
 * A connection's `tls` from the configuration as options for Node, with the certificates that there are now: who opens
 * several connections asks for each. Options that are not set are left out, because
 * undefined would replace Node's defaults.
 */
export function tlsOptions({ ca, cert, key, serverName }: TlsConfig): ConnectionOptions {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}
