import { Client, type ConnectionLike, type WorkflowClientInterceptor } from '@temporalio/client';
import type { TLSConfig as TemporalTls } from '@temporalio/common/lib/internal-non-workflow/index.js';
// The package's index brings its workers, too: 400 files that only `ktb run` needs.
import { NativeConnection } from '@temporalio/worker/lib/connection.js';
import type { TemporalConfig, TlsConfig } from '../config/config.js';

/** Opens a connection to Temporal. A client and a worker can share it. Rejects if nothing answers. */
export function connectTemporal({ address, tls, apiKey }: TemporalConfig): Promise<NativeConnection> {
  return NativeConnection.connect({
    address,
    tls: typeof tls === 'boolean' ? tls : toTemporalTls(tls),
    ...(apiKey === null ? {} : { apiKey }),
    // What is large is compressed already: chunks and batches carry zstd. To pack it again took a third of Temporal's processor time.
    grpcCompression: { codec: 'none' },
  });
}

/** @param interceptors get every request of the client */
export function createTemporalClient(
  connection: ConnectionLike,
  { namespace }: TemporalConfig,
  interceptors: WorkflowClientInterceptor[] = [],
): Client {
  return new Client({ connection, namespace, interceptors: { workflow: interceptors } });
}

function toTemporalTls({ ca, cert, key, serverName }: TlsConfig): TemporalTls {
  return {
    ...(serverName === undefined ? {} : { serverNameOverride: serverName }),
    ...(ca === undefined ? {} : { serverRootCACertificate: Buffer.from(ca) }),
    ...(cert === undefined || key === undefined
      ? {}
      : { clientCertPair: { crt: Buffer.from(cert), key: Buffer.from(key) } }),
  };
}
