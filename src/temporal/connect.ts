import { Client, type ConnectionLike, type WorkflowClientInterceptor } from '@temporalio/client';
import type { TLSConfig as TemporalTls } from '@temporalio/common/lib/internal-non-workflow/index.js';
// The package's index brings its workers, too: 400 files that only `ktb run` needs.
import { NativeConnection } from '@temporalio/worker/lib/connection.js';
import type { TemporalConfig, TlsConfig } from '../config/config.js';
import { PayloadCipher, type MissingKeyError } from '../codecs/payloadCipher.js';
import { dataConverterOf, setCipher } from './encryption.js';

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

/** What a client and workers encrypt and decrypt payloads with. */
export function createCipher(
  { encryption }: TemporalConfig,
  onMissingKey?: (error: MissingKeyError) => void,
): PayloadCipher {
  return new PayloadCipher(encryption, onMissingKey);
}

/**
 * @param options.interceptors get every request of the client
 * @param options.cipher default: one with the keys of the configuration
 */
export function createTemporalClient(
  connection: ConnectionLike,
  temporal: TemporalConfig,
  options: { readonly interceptors?: WorkflowClientInterceptor[]; readonly cipher?: PayloadCipher } = {},
): Client {
  const { interceptors = [], cipher = createCipher(temporal) } = options;
  const { payloadCodecs = [] } = dataConverterOf(cipher);
  const client = new Client({
    connection,
    namespace: temporal.namespace,
    interceptors: { workflow: interceptors },
    dataConverter: { payloadCodecs },
  });
  return setCipher(client, cipher);
}

/** A client that reads what is encrypted, and encrypts nothing. For claims, which every process has to be able to read. */
export function createPlainClient(connection: ConnectionLike, temporal: TemporalConfig): Client {
  return createTemporalClient(connection, { ...temporal, encryption: { ...temporal.encryption, active: null } });
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
