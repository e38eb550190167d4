import { z } from 'zod';
import { fitsIntoWorkflowId } from '../protocol/batcherId.js';
import { TIME_UNITS } from '../protocol/columnSource.js';
import { isKeyFunction, type KeyFunction } from '../protocol/layout.js';
import { BATCH_RECORDS_DEFAULT } from '../protocol/settings.js';
import { tableByValue, tableName } from './tableSchemas.js';
import { isReadableName, isTopicPattern, NAME_OF_ALL_OBJECTS, topicPattern } from './topics.js';
import { constant, count, duration, durationOrForever, findable, nonEmpty, size } from './valueSchemas.js';

/** Kafka's own rule for topic names and, by custom, for group ids. */
const topicName = z
  .string()
  .regex(/^[a-zA-Z0-9._-]{1,249}$/, {
    error: 'must be a Kafka topic name: 1 to 249 of a-z, A-Z, 0-9, dot, dash, underscore',
  })
  .refine(isNoPath, { error: 'must be a Kafka topic name, and not . or ..' });

const inputTopic = z
  .string()
  .regex(/^([a-zA-Z0-9._-]{1,249}|\/.+\/)$/, {
    error: 'must be a Kafka topic name, or a regular expression between slashes such as /orders\\..+/',
  })
  .refine((text) => !isTopicPattern(text) || topicPattern(text) !== null, {
    error: 'is no regular expression that JavaScript understands',
  })
  .refine(isNoPath, { error: 'must be a Kafka topic name, and not . or ..' })
  .refine(isReadableName, { error: `cannot be read: ${NAME_OF_ALL_OBJECTS}` });

/** Kafka keeps a topic in a folder of its name, so it refuses these two. */
function isNoPath(name: string): boolean {
  return name !== '.' && name !== '..';
}

const batch = z.strictObject({
  maxRecords: count({ min: 1, max: 1_000_000 })
    .prefault(BATCH_RECORDS_DEFAULT)
    .describe('Flush when this many records are buffered, however many rows each of them holds.'),
  maxBytes: size({ min: '1KiB', max: '64MiB' })
    .prefault('8MiB')
    .describe(
      'Flush when this much payload, before compression, is buffered. A flush also begins at 1.4 MB packed, which is what fits into one ' +
        'activity of Temporal.',
    ),
  maxDelay: duration({ min: '10ms', max: '1h' })
    .prefault('1s')
    .describe(
      'Flush when the oldest buffered record is this old. A Temporal server fires a timer up to a second late, as its ' +
        'history.timerProcessorMaxTimeShift (default 1s) says.',
    ),
});

const signal = z.strictObject({
  maxRecords: count({ min: 1, max: 100_000 })
    .prefault(10_000)
    .describe(
      'Most records in one signal, and never more than batch.maxRecords. With 1 every record has its own signal.',
    ),
  maxBytes: size({ min: '1KiB', max: '8MiB' })
    .prefault('4MiB')
    .describe(
      'Most payload in one signal, before compression, and never more than batch.maxBytes. Nor has a signal more than makes 420 KB packed, as far as the last ones tell. A larger record has its own signal. A record of more than 16 MiB, or 1.2 MB packed, is rejected.',
    ),
  linger: duration({ min: '0ms', max: '10s' })
    .optional()
    .describe(
      'How long a signal that is not full waits for more records. What they have waited counts for batch.maxDelay. ' +
        'Default: batch.maxDelay, at most 1s; half of it if several consumers read the pipeline. More than batch.maxDelay, with several half of it, has no effect. With 0ms, batches are stored as version 0.1.0 needs them.',
    ),
});

const flow = z.strictObject({
  maxHistory: size({ min: '1MiB', max: '16MiB' })
    .prefault('8MiB')
    .describe(
      'Largest history of a batcher. Above it nothing is sent to the batcher until it has continued as new. What its run began with, up to 2MiB, comes on top.',
    ),
  checkEvery: size({ min: '64KiB', max: '4MiB' })
    .prefault('2MiB')
    .describe('Bytes sent to a batcher after which the size of its history is looked up again.'),
});

const sourceRule = z
  .strictObject({
    from: findable
      .optional()
      .describe('Where the value is: a JSON pointer, key:/POINTER, envelope:/POINTER, header:NAME, or key.'),
    first: z
      .array(findable)
      .min(1, { error: 'must name at least one source' })
      .max(20, { error: 'must name 20 sources at most' })
      .optional()
      .describe('Several such places. The first counts that leads to something other than null.'),
    constant: constant.optional().describe('The same value for every record.'),
    unit: z.enum(TIME_UNITS).optional().describe('Numbers are times since 1970, in this unit.'),
    required: z.boolean().optional().describe('Reject records in which there is nothing, or null.'),
    default: constant.optional().describe('The value if there is nothing, or null.'),
  })
  .refine(({ from, first, constant: same }) => [from, first, same].filter((one) => one !== undefined).length === 1, {
    error: 'must have one of from, first and constant',
  })
  .refine(
    ({ constant: same, unit, required, default: other }) =>
      same === undefined || (unit ?? required ?? other) === undefined,
    {
      error: 'must have no other key beside constant',
    },
  )
  .refine(({ required, default: other }) => required !== true || other === undefined, {
    error: 'must be required or have a default, not both',
  });

const NO_SOURCE =
  'must be a JSON pointer such as /customer/id, key:/id, header:NAME, one of key, value, document, headers, kind, topic, partition, offset, timestamp, epoch, ' +
  'or a rule such as { from: /id, required: true }';

const columnSource = z.union(
  [
    z
      .string()
      .regex(
        /^(((key|envelope):)?\/.*|header:.+|key|value|document|headers|kind|topic|partition|offset|timestamp|epoch)$/s,
        {
          error: NO_SOURCE,
        },
      ),
    sourceRule,
  ],
  { error: NO_SOURCE },
);

const constants = z
  .array(constant)
  .min(1, { error: 'must have at least one value' })
  .max(1_000, { error: 'must have 1,000 values at most' });

const whereRule = z
  .strictObject({
    pointer: z
      .string()
      .regex(/^\/.*$/s, { error: 'must be a JSON pointer such as /customer/id' })
      .describe('JSON pointer into the value.'),
    equals: constant.optional().describe('What the value there is.'),
    notEquals: constant.optional().describe('What it is not.'),
    in: constants.optional().describe('It is one of these.'),
    notIn: constants.optional().describe('It is none of these.'),
    exists: z.boolean().optional().describe('Whether there is something other than null.'),
  })
  .refine(({ pointer: _, ...tests }) => Object.values(tests).some((test) => test !== undefined), {
    error: 'must say what is wanted: equals, notEquals, in, notIn, or exists',
  });

const where = z
  .union([
    whereRule,
    z
      .array(whereRule)
      .min(1, { error: 'must have at least one rule' })
      .max(20, { error: 'must have 20 rules at most' }),
  ])
  .optional();

const evolveMode = z.enum(['off', 'propose', 'apply']);

/** One entry of `pipelines`. */
export const pipeline = z.strictObject({
  topics: z
    .array(inputTopic)
    .min(1, { error: 'must name at least one topic' })
    .describe(
      'Input topics: names, and regular expressions between slashes that match whole names, such as `/orders\\..+/`. A new topic ' +
        'that matches is read within a minute, from its beginning.',
    ),
  groupId: nonEmpty.optional().describe('Consumer group, unique in its Kafka. Default: ktb-<pipeline>.'),
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
      'Where a partition starts that the group has never read. A time is compared with the records’ own timestamps. ' +
        '`latest` skips what is there at the first start. Partitions and matched ' +
        'topics that come later are read from their beginning.',
    ),
  onGap: z
    .enum(['continue', 'halt'])
    .default('continue')
    .describe(
      'What happens if the log has lost records, or has a record batch that is too large to read (more than 256 MiB decompressed): reading ' +
        'goes on after it, or the partition waits until a person has decided. Either way it is counted and logged.',
    ),
  format: z
    .enum(['json', 'json-lines', 'json-array', 'avro', 'protobuf', 'json-schema', 'text', 'bytes'])
    .default('json')
    .describe(
      'What record values are: JSON objects, many of them (one in each line, or in an array), one as Avro, Protobuf or JSON with the header of a schema registry, UTF-8 text, or any bytes. ' +
        'json-lines and json-array need a column _row in the table. avro and protobuf need schemaRegistry. A text, or bytes, goes as a whole to the column value, or to the one ' +
        'that columns maps to `value`.',
    ),
  avro: z
    .strictObject({
      bytes: z
        .enum(['raw', 'base64'])
        .default('raw')
        .describe('What columns get of bytes and fixed: the bytes as they are, or their text in base64.'),
      unions: z
        .enum(['plain', 'named'])
        .default('plain')
        .describe('What columns get of unions: the value alone, or an object with the name of its branch around it.'),
    })
    .optional()
    .describe('How Avro becomes JSON.'),
  protobuf: z
    .strictObject({
      bytes: z
        .enum(['raw', 'base64'])
        .default('raw')
        .describe('What columns get of bytes: the bytes as they are, or their text in base64.'),
    })
    .optional()
    .describe('How Protobuf becomes JSON.'),
  key: z
    .strictObject({
      format: z
        .enum(['bytes', 'json', 'avro', 'protobuf', 'json-schema'])
        .default('bytes')
        .describe(
          'What keys are: bytes, which are not looked into, JSON, or Avro, Protobuf or JSON with the header of a schema registry. A key that is not bytes ' +
            'becomes JSON: a text as it is, all else as JSON text. avro and protobuf need schemaRegistry.',
        ),
    })
    .optional()
    .describe('How keys are read, for the column _key, and the sources key and key:/POINTER.'),
  envelope: z
    .enum(['debezium'])
    .optional()
    .describe(
      'What is around the rows in record values: debezium takes changes that Debezium has written, with and without their schema. The table needs ' +
        'the columns _version and _is_deleted.',
    ),
  debezium: z
    .strictObject({
      version: z
        .enum(['offset', 'lsn', 'pos', 'ts_ms'])
        .default('offset')
        .describe(
          'What the column _version gets, by which the latest change of a row wins: the offset of its record, or of source the lsn of PostgreSQL, file ' +
            'and pos of MySQL and MariaDB, or the time in milliseconds.',
        ),
      truncates: z
        .enum(['reject', 'skip'])
        .default('reject')
        .describe('What happens to changes that say that the table was truncated.'),
    })
    .optional()
    .describe('How changes become rows.'),
  unknownFields: z
    .union([z.enum(['ignore', 'reject']), z.strictObject({ into: nonEmpty })], {
      error: 'must be ignore, reject, or { into: COLUMN }',
    })
    .default('ignore')
    .describe(
      'What happens to fields without a column: they are left out (ignore), their records are rejected (reject), or they go into a ' +
        'column of type Map, JSON or String (`{ into: extra }`).',
    ),
  evolve: z
    .union(
      [
        evolveMode,
        z.strictObject({
          mode: evolveMode,
          maxColumns: count({ min: 1, max: 1_000 })
            .prefault(100)
            .describe(
              'Columns that a table gets in this way, at most; with propose, after so many it proposes none for ten minutes.',
            ),
          withViews: z
            .boolean()
            .default(false)
            .describe(
              'Whether apply also alters tables with materialized views. By default it proposes: a view with a join, or with a name of its own, may mean something else then.',
            ),
        }),
      ],
      {
        error: 'must be off, propose, apply, or { mode: apply, maxColumns: 100 }',
      },
    )
    .default('off')
    .describe(
      'Whether fields without a column get one: propose logs the statement that adds it, apply adds it, to tables of the MergeTree family without materialized views. Then ' +
        'unknownFields is about the fields that get none. `maxColumns` of `{ mode: apply, maxColumns: 100 }` bounds the columns that a table gets in this way. Default: off.',
    ),
  where: where.describe(
    'Which records become rows: those whose value is as each of these rules says, such as `{ pointer: /type, equals: order }` or ' +
      '`[{ pointer: /eu, equals: true }, { pointer: /deleted, exists: false }]`. Others are skipped, and acknowledged as that.',
  ),
  tombstones: z
    .enum(['reject', 'skip', 'insert'])
    .default('reject')
    .describe(
      'What happens to records without a value: they are rejected, skipped (their acknowledgement says so), or inserted as a row of what ' +
        'does not come from the value.',
    ),
  table: z
    .union([tableName, tableByValue], {
      error: 'must be a table such as orders or shop.orders, or { by: /tenant, tables: { acme: acme.orders } }',
    })
    .describe(
      'ClickHouse table: `orders`, `shop-eu.orders`. Put names with other characters between backquotes, each part by itself. `{topic}` is the ' +
        'name of the topic, with underscores for dots and dashes, so that each topic has its own table. Or tables by a value of each record: ' +
        "`{ by: /tenant, template: '{value}.orders', values: [acme, globex] }`.",
    ),
  tables: z
    .record(topicName, tableName)
    .default({})
    .describe('Tables of topics whose records do not go to `table`, as topic: table.'),
  columns: z
    .record(nonEmpty, columnSource)
    .default({})
    .describe(
      'Columns that do not take the field of their name, as column: source. A source is a JSON pointer, key:/POINTER into the key, envelope:/POINTER, header:NAME, value, document, headers, kind, ' +
        'or a coordinate of the record. A rule such as `{ first: [/id, /key/id], required: true }` says more: from or first, unit, required, default; or constant.',
    ),
  batchers: count({ min: 1, max: 1_024 })
    .prefault(2)
    .describe(
      'Number of batcher workflows that the keys are divided among. Each has one insert under way, and flushes by itself. ' +
        'May be changed at any time.',
    ),
  shardBy: z
    .custom<KeyFunction>((value) => typeof value === 'string' && value.length <= 200 && isKeyFunction(value), {
      error:
        'must be key, partition, header:NAME, or a JSON pointer such as /customer/id or key:/id; 200 characters at most',
    })
    .refine(fitsIntoWorkflowId, {
      error:
        'is too long for a workflow id, in which other characters than A-Z, a-z and 0-9 take 3 bytes or more; 900 bytes at most',
    })
    .default('key')
    .describe(
      'What chooses the batcher of a record. Records with the same one keep their order. It is key, partition, header:NAME, or a JSON pointer ' +
        'into the value such as /customer/id, or into the key such as key:/id, to a text, a number, true or false, also in Avro, Protobuf and JSON Schema. Records without it go by their partition. If a ' +
        'pointer leads to nothing, the record goes by its key.',
    ),
  keyless: z
    .enum(['topic', 'partition'])
    .optional()
    .describe(
      'What chooses the batcher if shardBy finds nothing: topic and partition, or the number of the partition alone. ' +
        'Default: topic if the pipeline has several topics or a regular expression, else partition. May be changed at any time.',
    ),
  batch: batch.prefault({}),
  signal: signal.prefault({}),
  flow: flow.prefault({}),
  maxBuffered: size({ min: '1MiB', max: '4GiB' })
    .prefault('48MiB')
    .describe(
      'Most memory of the records that wait in the consumer for their signals. Above it partitions are paused. A record counts ' +
        '330 bytes more than its key and value, and 200 for each header. Records that arrive together count 2 KB more.',
    ),
  insert: z
    .strictObject({
      retryFor: durationOrForever({ min: '1m', max: '365d' })
        .prefault('forever')
        .describe(
          'How long an insert is tried again that ClickHouse answers with an error. Then its records go to the dead-letter topic. ' +
            'Time in which ClickHouse is away, or the table is wrong, does not count.',
        ),
      views: z
        .enum(['best-effort', 'required'])
        .default('best-effort')
        .describe(
          'What happens if a materialized view refuses rows that are in the table. best-effort: they count as inserted, and are logged and ' +
            'counted as missing in the view. required: the batch waits until the view takes them. If it is not known which ' +
            'rows came together, they are counted all the same, and the batch goes in.',
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
          'Topics that a record may ask for by its header kafka_replyTopic, besides reply.topic. If it asks ' +
            'for another, or for one that does not exist, its acknowledgement goes to reply.topic.',
        ),
    })
    .optional()
    .describe('Where records are acknowledged. Without it they are not.'),
  deadLetter: z
    .strictObject({
      topic: topicName
        .describe(
          'Topic for rejected records. Default: <first topic>.dead-letters, or <pipeline>.dead-letters if that is a regular expression.',
        )
        .optional(),
    })
    .prefault({}),
});
