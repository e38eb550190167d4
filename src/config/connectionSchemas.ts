import { z } from 'zod';
import { ADDRESS, BROKER_LIST, brokerListProblem, isPort, PORT_TOO_HIGH } from './addresses.js';
import { CONNECTIONS_MAX } from '../lib/clickhouseConnections.js';
import { sasl } from './saslSchema.js';
import { KEY_ID, NO_KEY_ID, parseKey } from '../lib/encryptionKey.js';
import { count, duration, nonEmpty, secret } from './valueSchemas.js';

const certificates = z.strictObject({
  ca: nonEmpty
    .optional()
    .describe('Certificate authority, PEM, instead of the public ones; usually "${file:/path/ca.pem}".'),
  cert: nonEmpty.optional().describe('Client certificate, PEM, for mutual TLS.'),
  key: nonEmpty.optional().describe('Key of the client certificate, PEM, without a passphrase.'),
  serverName: nonEmpty
    .optional()
    .describe("Name to verify the server's certificate against, if it is not the address."),
});

const tls = z.union([z.boolean(), certificates]);

/** Connection settings of Kafka. */
export const kafka = z.strictObject({
  brokers: z
    .array(
      z
        .string()
        .regex(BROKER_LIST, {
          error: ({ input }) => brokerListProblem(String(input)) ?? 'must be host:port',
          abort: true,
        })
        .refine((text) => brokerListProblem(text) === null, {
          error: ({ input }) => brokerListProblem(String(input)) ?? '',
        }),
    )
    .min(1, { error: 'must name at least one broker, as host:port' })
    .default(['localhost:9092'])
    .describe(
      'Bootstrap brokers, as host:port; an IPv6 address in brackets. One text may hold several, separated by commas, for instance from an ' +
        'environment variable.',
    ),
  clientId: nonEmpty.default('ktb').describe("Client id, as it appears in the brokers' logs and quotas."),
  rackId: nonEmpty
    .optional()
    .describe(
      'Rack (availability zone) of this process, as in broker.rack. Records are then fetched from a replica in it, if the brokers have ' +
        'replica.selector.class.',
    ),
  ssl: tls.default(false).describe('TLS to the brokers.'),
  sasl: sasl.optional().describe('SASL credentials.'),
  connectionTimeout: duration({ min: '100ms', max: '5m' })
    .prefault('5s')
    .describe('How long opening a connection may take.'),
  requestTimeout: duration({ min: '1s', max: '10m' })
    .prefault('30s')
    .describe('How long the answer to a request may take.'),
  sessionTimeout: duration({ min: '6s', max: '30m' })
    .prefault('30s')
    .describe('A member that sends no heartbeat for this long loses its partitions to the others.'),
});

const encryption = z.strictObject({
  keys: z
    .record(
      z.string().regex(KEY_ID, { error: NO_KEY_ID }),
      // The message never has the key in it, also if it is none.
      z.string({ error: 'must be a text' }).refine((text) => parseKey(text) !== null, {
        error:
          'must be a key of 32 bytes, in base64 or as 64 hexadecimal digits, as `openssl rand -base64 32` makes it',
      }),
    )
    .refine((keys) => Object.keys(keys).length > 0, { error: 'must have at least one key' })
    .describe(
      'Keys of 32 bytes by a name of yours, in base64 or as hexadecimal digits; usually "${file:/path/key}". All of them decrypt.',
    ),
  active: nonEmpty
    .optional()
    .describe(
      'Name of the key that encrypts. Without it no record is encrypted any more, and all that is encrypted can be read.',
    ),
  required: z
    .boolean()
    .default(false)
    .describe(
      'Whether batchers take only signals, and workers only activities, that ktb or a requester has encrypted for them. Set it once all consumers encrypt, and requesters too.',
    ),
});

/** Connection settings of Temporal. */
export const temporal = z.strictObject({
  address: z
    .string()
    .regex(ADDRESS, { error: 'must be host:port, without a scheme; an IPv6 address in brackets, as [::1]:7233' })
    .refine(isPort, { error: PORT_TOO_HIGH })
    .optional()
    .describe('Frontend, as host:port. Default: TEMPORAL_ADDRESS, else localhost:7233.'),
  namespace: nonEmpty.optional().describe('Namespace. Default: TEMPORAL_NAMESPACE, else default.'),
  taskQueue: nonEmpty
    // Temporal takes 1,000 bytes (`limit.maxIDLength`), and queues of ours have this name and an installation's.
    .refine((name) => Buffer.byteLength(name) <= 900, { error: 'must be 900 bytes at most' })
    .default('kafka-temporal-bridge')
    .describe('Task queue of the batchers. Running batchers stay on theirs: drain them before you change it.'),
  tls: tls
    .optional()
    .describe('TLS to the frontend. Default: as the TEMPORAL_TLS variables say, else on if there is an API key.'),
  apiKey: secret.optional().describe('API key. Default: TEMPORAL_API_KEY.'),
  requestTimeout: duration({ min: '1s', max: '5m' })
    .prefault('10s')
    .describe('How long the answer to a signal may take. Then the signal is sent again.'),
  encryption: encryption.optional(),
});

/** Connection settings of the schema registry. */
export const schemaRegistry = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'must be an http:// or https:// address' })
    .describe(
      'Address of a registry with the API of Confluent, with its path and without credentials, such as https://registry.example.com, ' +
        'or http://apicurio:8080/apis/ccompat/v6.',
    ),
  username: nonEmpty.optional().describe('User.'),
  password: z.string().default('').describe('Password.'),
  token: secret.optional().describe('Bearer token, instead of username and password.'),
  tls: certificates
    .optional()
    .describe(
      'Certificates for an https:// address. None are needed if a public authority has signed its certificate.',
    ),
  requestTimeout: duration({ min: '100ms', max: '5m' })
    .prefault('10s')
    .describe('How long an answer may take. Then the batch is held, and the registry asked again.'),
});

/** Addresses in `clickhouse.urls`, at most. A claim has room for the ids of so many servers. */
const SERVERS_MAX = 10;

const httpAddress = z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// address' });

/** Connection settings of ClickHouse. */
export const clickhouse = z.strictObject({
  url: httpAddress
    .optional()
    .describe('HTTP interface, without credentials. Default: http://localhost:8123, if there are no urls.'),
  urls: z
    .array(httpAddress)
    .min(1, { error: 'must name at least one address' })
    .max(SERVERS_MAX, { error: `may name ${SERVERS_MAX} addresses` })
    .optional()
    .describe(
      'HTTP interfaces of several replicas of the same tables, instead of url. The first one is used; if it does not answer, the next one.',
    ),
  username: nonEmpty.default('default').describe('User.'),
  password: z.string().default('').describe('Password.'),
  accessToken: secret
    .optional()
    .describe('Access token (JWT), as of ClickHouse Cloud, instead of username and password.'),
  tls: certificates
    .optional()
    .describe(
      'Certificates for an https:// address. None are needed if a public authority has signed its certificate. The user is still that of ' +
        'username or accessToken.',
    ),
  database: nonEmpty.default('default').describe('Database of tables whose names have none.'),
  requestTimeout: duration({ min: '1s', max: '9m' })
    .prefault('30s')
    .describe('How long the answer to an insert or a query may take. Then the insert is tried again.'),
  lookUpTimeout: duration({ min: '1s', max: '9m' })
    .prefault('1m')
    .describe(
      'How long a look-up of the rows of a batch that are in the table already may take. Then the batch is tried again, and the log says so.',
    ),
  maxConnections: count({ min: 1, max: CONNECTIONS_MAX })
    .optional()
    .describe(
      'Most open connections. Fewer small flushes run at the same time if these are not enough. Default: 32 for each of ' +
        'worker.maxConcurrentFlushes, four for each pipeline, and eight.',
    ),
  settings: z
    .record(
      z.string().regex(/^[a-z][a-z0-9_]*$/, { error: 'must be the name of a ClickHouse setting' }),
      z.union([z.string(), z.number(), z.boolean()], { error: 'must be a text, a number, true or false' }),
    )
    .default({})
    .describe(
      'ClickHouse settings for every insert, such as insert_quorum. Those that the guarantees rest on are refused. Any ' +
        'worker of the installation may insert any pipeline’s rows, so all its configurations need the same settings.',
    ),
});
