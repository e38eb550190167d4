import { z } from 'zod';
import { isKeyFunction, type KeyFunction } from '../protocol/batcherId.js';
import { ADDRESS, BROKER_LIST, brokerListProblem, isPort } from './addresses.js';
import { isTopicPattern, topicPattern } from './topics.js';
import { count, duration, durationOrForever, size } from './units.js';

const PORT_TOO_HIGH = 'has a port over 65535';

/** Kafka's own rule for topic names and, by custom, for group ids. */
const topicName = z.string().regex(/^[a-zA-Z0-9._-]{1,249}$/, {
  error: 'must be a Kafka topic name: 1 to 249 of a-z, A-Z, 0-9, dot, dash, underscore',
});

const inputTopic = z
  .string()
  .regex(/^([a-zA-Z0-9._-]{1,249}|\/.+\/)$/, {
    error: 'must be a Kafka topic name, or a regular expression between slashes such as /orders\\..+/',
  })
  .refine((text) => !isTopicPattern(text) || topicPattern(text) !== null, {
    error: 'is no regular expression that JavaScript understands',
  });

/** A table's name, of parts that need no quotes or stand between backquotes. No pattern of its schema: Go knows no such. */
const TABLE_NAME = (() => {
  const plain = String.raw`(?:[\p{L}_]|\{topic\})(?:[\p{L}\p{M}\p{N}_ -]|\{topic\})*(?<! )`;
  const quoted = '`(?:[^`\\\\\\p{Cc}]|\\\\[`\\\\]|``)+`';
  return new RegExp(`^(?:${plain}|${quoted})(?:\\.(?:${plain}|${quoted}))?$`, 'u');
})();

const tableName = z.string().refine((text) => TABLE_NAME.test(text), {
  error:
    'must be table or database.table, with {topic} where the name of the topic belongs; other names between backquotes',
});

const nonEmpty = z.string().min(1, { error: 'must not be empty' });

const certificates = z.strictObject({
  ca: nonEmpty
    .optional()
    .describe('Certificate authority, PEM, instead of the public ones; usually "${file:/path/ca.pem}".'),
  cert: nonEmpty.optional().describe('Client certificate, PEM, for mutual TLS.'),
  key: nonEmpty.optional().describe('Key of the client certificate, PEM, without a passphrase.'),
  serverName: nonEmpty
    .optional()
    .describe("Name to verify the server's certificate against, where it is not the address."),
});

const tls = z.union([z.boolean(), certificates]);

const kafka = z.strictObject({
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
      'Bootstrap brokers, as host:port; an IPv6 address in brackets. One text may hold several with commas between them, as an environment ' +
        'variable does.',
    ),
  clientId: nonEmpty.default('ktb').describe("Client id, as it appears in the brokers' logs and quotas."),
  ssl: tls.default(false).describe('TLS to the brokers.'),
  sasl: z
    .strictObject({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('Mechanism.'),
      username: nonEmpty.describe('User.'),
      password: nonEmpty.describe('Password.'),
    })
    .optional()
    .describe('SASL credentials.'),
  connectionTimeout: duration({ min: '100ms', max: '5m' }).prefault('5s').describe('To open a connection.'),
  requestTimeout: duration({ min: '1s', max: '10m' }).prefault('30s').describe('For the answer to a request.'),
  sessionTimeout: duration({ min: '6s', max: '30m' })
    .prefault('30s')
    .describe('After this long without a heartbeat the group gives the partitions of a member to the others.'),
});

const temporal = z.strictObject({
  address: z
    .string()
    .regex(ADDRESS, { error: 'must be host:port, without a scheme; an IPv6 address in brackets, as [::1]:7233' })
    .refine(isPort, { error: PORT_TOO_HIGH })
    .optional()
    .describe('Frontend, as host:port. Default: TEMPORAL_ADDRESS, else localhost:7233.'),
  namespace: nonEmpty.optional().describe('Namespace. Default: TEMPORAL_NAMESPACE, else default.'),
  taskQueue: nonEmpty
    .default('kafka-temporal-bridge')
    .describe(
      'Task queue that the batchers run on. Batchers that run stay on theirs: drain them before you change it.',
    ),
  tls: tls
    .optional()
    .describe('TLS to the frontend. Default: as the TEMPORAL_TLS variables say; else on where there is an API key.'),
  apiKey: nonEmpty.optional().describe('API key. Default: TEMPORAL_API_KEY.'),
  requestTimeout: duration({ min: '1s', max: '5m' })
    .prefault('10s')
    .describe('For the answer to a signal; after it the signal is sent again.'),
});

const clickhouse = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'must be an http:// or https:// address' })
    .default('http://localhost:8123')
    .describe('HTTP interface, without credentials.'),
  username: nonEmpty.default('default').describe('User.'),
  password: z.string().default('').describe('Password.'),
  accessToken: nonEmpty
    .optional()
    .describe('Access token (JWT), as of ClickHouse Cloud, instead of username and password.'),
  tls: certificates
    .optional()
    .describe(
      'Certificates for an https:// address; one that a public authority has signed needs none. The user is still the one of username ' +
        'or accessToken.',
    ),
  database: nonEmpty.default('default').describe('Database of tables that are named without one.'),
  requestTimeout: duration({ min: '1s', max: '9m' })
    .prefault('30s')
    .describe('For the answer to an insert or a query; after it the insert is tried again.'),
  lookUpTimeout: duration({ min: '1s', max: '9m' })
    .prefault('1m')
    .describe(
      'For the answer to the question which rows of a batch are in the table already; after it the batch is tried again, and the log says so.',
    ),
  maxConnections: count({ min: 1, max: 1000 }).prefault(16).describe('Open connections, at most.'),
  settings: z
    .record(
      z.string().regex(/^[a-z][a-z0-9_]*$/, { error: 'must be the name of a ClickHouse setting' }),
      z.union([z.string(), z.number(), z.boolean()], { error: 'must be a text, a number, true or false' }),
    )
    .default({})
    .describe('Settings of ClickHouse for every insert, such as insert_quorum; but for those that the guarantees own.'),
});

const batch = z.strictObject({
  maxRecords: count({ min: 1, max: 1_000_000 }).prefault(50_000).describe('Flush when this many records are buffered.'),
  maxBytes: size({ min: '1KiB', max: '64MiB' })
    .prefault('8MiB')
    .describe(
      'Flush when this much payload, before compression, is buffered; at the latest at 1.4 MB packed, which is what fits into one ' +
        'activity of Temporal.',
    ),
  maxDelay: duration({ min: '10ms', max: '1h' })
    .prefault('1s')
    .describe(
      'Flush when the oldest buffered record is this old. A Temporal server fires a timer up to a second late, unless its ' +
        'history.timerProcessorMaxTimeShift (default 1s) is lowered.',
    ),
});

const signal = z.strictObject({
  maxRecords: count({ min: 1, max: 100_000 })
    .prefault(2_000)
    .describe(
      'Records in one signal, at most. 1 sends every record in a signal of its own. Never more than batch.maxRecords.',
    ),
  maxBytes: size({ min: '1KiB', max: '1MiB' })
    .prefault('512KiB')
    .describe(
      'Payload in one signal, before compression, at most. A larger record has a signal of its own, up to 16 MiB; beyond that it is rejected.',
    ),
  linger: duration({ min: '0ms', max: '10s' })
    .prefault('5ms')
    .describe('How long a signal waits for more records while there is room in it.'),
});

const flow = z.strictObject({
  maxHistory: size({ min: '1MiB', max: '16MiB' })
    .prefault('8MiB')
    .describe(
      "Above this size of a batcher's history nothing more is sent to it until it has continued as new. What its run began with, up to 2MiB, comes on top.",
    ),
  checkEvery: size({ min: '64KiB', max: '4MiB' })
    .prefault('512KiB')
    .describe("A batcher's history is looked at after every so many bytes sent to it."),
});

/** One entry of `pipelines`. */
export const pipeline = z.strictObject({
  topics: z
    .array(inputTopic)
    .min(1, { error: 'must name at least one topic' })
    .describe(
      'Input topics: names, and regular expressions between slashes that match whole names, such as `/orders\\..+/`. A topic ' +
        'that comes to match is read within a minute, from its beginning.',
    ),
  groupId: nonEmpty.optional().describe('Consumer group. Default: ktb-<pipeline>.'),
  startFrom: z
    .string()
    .refine(
      (text) => text === 'earliest' || text === 'latest' || z.iso.datetime({ offset: true }).safeParse(text).success,
      {
        error: 'must be earliest, latest, or a time such as 2026-01-31T00:00:00Z',
      },
    )
    .default('earliest')
    .describe(
      'Where partitions start that the group has never read. `latest` skips what is there at the first start; partitions and matched ' +
        'topics that come later are read from their beginning.',
    ),
  onGap: z
    .enum(['continue', 'halt'])
    .default('continue')
    .describe(
      'What happens where the log no longer has records that the group has not read, or has a record batch that decompresses to more ' +
        'than 256 MiB: it goes on behind them, or the partition is not read until a person has decided. Either way it is counted and logged.',
    ),
  format: z
    .enum(['json', 'text', 'bytes'])
    .default('json')
    .describe(
      'What record values are: JSON objects, or one value each, UTF-8 or any bytes, for the column that columns gives `value`; by ' +
        'default the column value.',
    ),
  unknownFields: z
    .enum(['ignore', 'reject'])
    .default('ignore')
    .describe(
      'What happens to fields that the table has no column for: they are left out, or their records are rejected.',
    ),
  tombstones: z
    .enum(['reject', 'skip', 'insert'])
    .default('reject')
    .describe(
      'What happens to records without a value: rejected; skipped, with an acknowledgement that says so; or inserted, as a row of what ' +
        'does not come from the value.',
    ),
  table: tableName.describe(
    'ClickHouse table: `orders`, `shop-eu.orders`; names with other signs between backquotes, each part by itself. `{topic}` in it is the name of the topic, with underscores for dots and dashes: each topic has a ' +
      'table of its own.',
  ),
  tables: z
    .record(topicName, tableName)
    .default({})
    .describe('Tables of topics whose records do not go to `table`: topic to table.'),
  columns: z
    .record(
      nonEmpty,
      z.string().regex(/^(\/.*|header:.+|key|value|topic|partition|offset|timestamp|epoch)$/s, {
        error:
          'must be a JSON pointer such as /customer/id, header:NAME, or one of key, value, topic, partition, offset, timestamp, epoch',
      }),
    )
    .default({})
    .describe(
      'Columns that are not simply the field of their name: column to JSON pointer, header or Kafka coordinate.',
    ),
  batchers: count({ min: 1, max: 1_024 })
    .prefault(8)
    .describe('Batcher workflows that the keys are divided among. May be changed at any time.'),
  shardBy: z
    .custom<KeyFunction>((value) => typeof value === 'string' && value.length <= 200 && isKeyFunction(value), {
      error: 'must be key, partition, header:NAME, or a JSON pointer such as /customer/id; 200 characters at most',
    })
    .default('key')
    .describe(
      "What a record's batcher is chosen by, so that its order is kept: key, partition, header:NAME, or a JSON pointer into the " +
        'value such as /customer/id, to a text, a number, true or false. Records without it go by their partition; those ' +
        'without what a pointer leads to by their key.',
    ),
  keyless: z
    .enum(['topic', 'partition'])
    .optional()
    .describe(
      'What chooses the batcher where shardBy finds nothing to go by: topic and partition, or the number of the partition alone. ' +
        'Default: topic where the pipeline has several topics or a regular expression, else partition. May be changed at any time.',
    ),
  batch: batch.prefault({}),
  signal: signal.prefault({}),
  flow: flow.prefault({}),
  maxBuffered: size({ min: '1MiB', max: '4GiB' })
    .prefault('48MiB')
    .describe(
      'Memory of the records that wait in the consumer for their signals, at most; beyond it partitions are paused. A record counts ' +
        'what it takes: some 350 bytes more than its payload, and 200 for each header.',
    ),
  insert: z
    .strictObject({
      retryFor: durationOrForever({ min: '1m', max: '365d' })
        .prefault('forever')
        .describe(
          'How long an insert that ClickHouse answers with an error is tried again; then its records go to the dead-letter topic. ' +
            'It never ends while ClickHouse is away, or the table is wrong, and that time does not count.',
        ),
      views: z
        .enum(['best-effort', 'required'])
        .default('best-effort')
        .describe(
          'What happens where a materialized view refuses rows that are in the table: they count as inserted, and that the view lacks ' +
            'them is logged and counted; or the batch waits until the view takes them.',
        ),
    })
    .prefault({}),
  reply: z
    .strictObject({
      topic: topicName.describe('Topic of the acknowledgements.'),
      copyHeaders: z
        .array(nonEmpty)
        .default([])
        .describe('Record headers copied into the acknowledgement, byte for byte.'),
      allowTopics: z
        .array(topicName)
        .default([])
        .describe(
          'Topics that a record may ask for by its header kafka_replyTopic, beside reply.topic. An acknowledgement that asks ' +
            'for another, or for one that does not exist, goes to reply.topic.',
        ),
    })
    .optional()
    .describe('Where records are acknowledged; without it they are not.'),
  deadLetter: z
    .strictObject({
      topic: topicName
        .describe(
          'Topic for rejected records. Default: <first topic>.dead-letters; <pipeline>.dead-letters where that is a regular expression.',
        )
        .optional(),
    })
    .prefault({}),
});

const pipelineName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, { error: 'a pipeline is named with a-z, 0-9, dash, underscore; 63 at most' });

/** The configuration file. Everything has a default that works on one machine, but for the pipelines. */
export const configSchema = z.strictObject({
  installation: z
    .string()
    .regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/, {
      error: 'must be a name of a-z, A-Z, 0-9, dot, dash, underscore; 63 at most',
    })
    .optional()
    .describe(
      'Name of this set-up of Kafka and ClickHouse, the same for all its daemons; several set-ups may share a namespace of Temporal. ' +
        'Default: found out by the cluster id of Kafka and the ids of ClickHouse. Write it out where these change and the data do not.',
    ),
  kafka: kafka.prefault({}),
  temporal: temporal.prefault({}),
  clickhouse: clickhouse.prefault({}),
  pipelines: z
    .record(pipelineName, pipeline)
    .refine((pipelines) => Object.keys(pipelines).length > 0, { error: 'must have at least one pipeline' }),
  worker: z
    .strictObject({
      maxConcurrentFlushes: count({ min: 1, max: 1_000 })
        .prefault(3)
        .describe(
          'Batches a worker inserts at the same time; each is held in memory. A pipeline that has none under way gets one beyond that.',
        ),
    })
    .prefault({}),
  http: z
    .strictObject({
      listen: z
        .string()
        .regex(/^[^\s]*:\d{1,5}$/, { error: 'must be address:port, such as 10.1.2.3:9464, or :9464 for all addresses' })
        .refine(isPort, { error: PORT_TOO_HIGH })
        .default(':9464')
        .describe(
          'Address of /livez, /readyz and /metrics; without a host all addresses, those of IPv6 too where there are any; port 0 takes a free one.',
        ),
      temporalListen: z
        .string()
        .regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):[1-9]\d{0,4}$/, {
          error: 'must be an IP address and a port, such as 0.0.0.0:9465',
        })
        .refine(isPort, { error: PORT_TOO_HIGH })
        .optional()
        .describe("Address of the Temporal SDK's own /metrics; without it there are none."),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least severity that is logged.'),
      format: z
        .enum(['auto', 'json', 'pretty'])
        .default('auto')
        .describe('auto: pretty on a terminal, JSON lines elsewhere.'),
    })
    .prefault({}),
  shutdown: z
    .strictObject({
      deadline: duration({ min: '1s', max: '10m' })
        .prefault('25s')
        .describe('How long SIGTERM may take; what is not done by then is done by the next start.'),
    })
    .prefault({}),
});

/** A valid configuration file, before defaults are filled in. */
export type ConfigInput = z.input<typeof configSchema>;

/** A parsed configuration file: defaults filled in, durations in milliseconds, sizes in bytes. */
export type ParsedConfig = z.output<typeof configSchema>;
