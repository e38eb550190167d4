import { hasManyRows, holdsObjects, isDecoded } from '../protocol/settings.js';
import { pointerOf, type PointedAt } from '../protocol/columnSource.js';
import { collidingTopics, fixedTables, parseTableName } from '../protocol/tables.js';
import { jsonBytes } from '../lib/jsonBytes.js';
import { pointerTokens } from '../lib/jsonPointer.js';
import { deadLetterTopicOf, settingsOf } from './config.js';
import type { CheckedParts, ConfigProblem } from './configProblem.js';
import { tablesOfValues } from './destinationTable.js';
import { whyOwned } from './insertSettings.js';
import { isTopicPattern, topicPattern } from './topics.js';

type Pipelines = CheckedParts['pipelines'];
type Pipeline = Pipelines[string];

/** Checks that involve more than one key. */
export function crossChecks({ kafka, temporal, pipelines, clickhouse, schemaRegistry }: CheckedParts): ConfigProblem[] {
  const ofEach = (check: (pipeline: Pipeline, name: string) => ConfigProblem[]): ConfigProblem[] =>
    Object.entries(pipelines).flatMap(([name, pipeline]) =>
      check(pipeline, name).map(({ path, message }) => ({ path: ['pipelines', name, ...path], message })),
    );
  const readers = new Map(
    Object.entries(pipelines).flatMap(([name, { topics }]) => topics.map((topic) => [topic, name])),
  );
  return [
    ...sharedGroups(pipelines),
    ...ofEach((pipeline, name) => answerTopics(pipeline, name, readers)),
    ...ofEach(tablesOfUnreadTopics),
    ...ofEach(sharedTables),
    ...ofEach(tablesByValue),
    ...ofEach((pipeline) => twoSpellings(pipeline, clickhouse.database)),
    ...ofEach(identityColumns),
    ...ofEach(settingsSize),
    ...ofEach(formatOfValues),
    ...ofEach(envelopeOfValues),
    ...ofEach((pipeline) => decodedFormat(pipeline, schemaRegistry)),
    ...ofEach(missingDocuments),
    ...registry(schemaRegistry),
    ...loginByTls(kafka),
    ...activeKey(temporal),
    ...clickHouse(clickhouse),
  ];
}

function activeKey({ encryption }: CheckedParts['temporal']): ConfigProblem[] {
  if (encryption === undefined) return [];
  const { keys, active, required } = encryption;
  const names = Object.keys(keys);
  const complain = (key: string, message: string) => [{ path: ['temporal', 'encryption', key], message }];
  if (active !== undefined && !names.includes(active))
    return complain('active', `names no key of keys; there are: ${names.join(', ')}`);
  if (required && active === undefined) return complain('required', 'needs active, the key that encrypts');
  return [];
}

function loginByTls({ sasl, ssl }: CheckedParts['kafka']): ConfigProblem[] {
  if (sasl?.mechanism !== 'aws-msk-iam' || ssl !== false) return [];
  return [{ path: ['kafka', 'ssl'], message: 'must be true: Amazon MSK takes IAM logins only by TLS' }];
}

function sharedGroups(pipelines: Pipelines): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const groups = new Map<string, string>();
  for (const [name, { groupId = `ktb-${name}` }] of Object.entries(pipelines)) {
    const other = groups.get(groupId);
    if (other !== undefined) {
      const message = `is also the group of pipeline ${other}; each pipeline needs a consumer group of its own`;
      problems.push({ path: ['pipelines', name, 'groupId'], message });
    }
    groups.set(groupId, name);
  }
  return problems;
}

/** Kafka's own limit of a topic's name. */
const TOPIC_CHARACTERS_MAX = 249;

/**
 * Acknowledgements and dead letters may not go to each other's topics, nor to a topic that is read.
 *
 * @param readers by input topic, the pipeline that reads it
 */
function answerTopics(pipeline: Pipeline, name: string, readers: ReadonlyMap<string, string>): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const { reply } = pipeline;
  const deadLetterTopic = deadLetterTopicOf(name, pipeline);
  const replies: [ConfigProblem['path'], string][] = (reply?.allowTopics ?? []).map((topic, index) => [
    ['reply', 'allowTopics', index],
    topic,
  ]);
  if (reply !== undefined) replies.unshift([['reply', 'topic'], reply.topic]);
  for (const [path, topic] of [...replies, [['deadLetter', 'topic'], deadLetterTopic] as const]) {
    const reader = readers.get(topic);
    if (reader !== undefined) {
      const message = `${topic} is an input topic of pipeline ${reader}; records would go round in circles`;
      problems.push({ path, message });
    }
  }
  if (deadLetterTopic.length > TOPIC_CHARACTERS_MAX) {
    const message = `would be ${deadLetterTopic}, which is longer than the ${TOPIC_CHARACTERS_MAX} characters that Kafka takes: name one`;
    problems.push({ path: ['deadLetter', 'topic'], message });
  }
  for (const [path, topic] of replies)
    if (topic === deadLetterTopic) problems.push({ path, message: 'must not be the dead-letter topic' });
  return problems;
}

function tablesOfUnreadTopics({ topics, tables }: Pipeline): ConfigProblem[] {
  const patterns = topics.filter(isTopicPattern).map(topicPattern);
  return Object.keys(tables)
    .filter((topic) => !topics.includes(topic) && !patterns.some((pattern) => pattern?.test(topic)))
    .map((topic) => ({ path: ['tables', topic], message: 'is no input topic of the pipeline' }));
}

function sharedTables({ topics, table, tables }: Pipeline): ConfigProblem[] {
  if (typeof table === 'object') return [];
  const named = [...new Set(topics)].filter((topic) => !isTopicPattern(topic));
  return [...collidingTopics({ table: { ofTopics: tables, others: table } }, named)].map(([shared, sharing]) => {
    const message = `topics ${sharing.join(' and ')} would share the table ${shared}: give them tables of their own under tables`;
    return { path: ['table'], message };
  });
}

/** What tables by a value do not go together with, and what their values need. */
function tablesByValue({ table, tables, format, key, envelope }: Pipeline): ConfigProblem[] {
  if (typeof table !== 'object') return [];
  const problems: ConfigProblem[] = [];
  const add = (path: ConfigProblem['path'], message: string): void => void problems.push({ path, message });
  if (Object.keys(tables).length > 0)
    add(['tables'], 'is about topics, and table goes by a value: leave one of them out');
  const by = ['table', 'by'];
  const { into = null } = pointerOf(table.by) ?? {};
  const instead = 'use key, key:/POINTER or header:NAME';
  if (into === 'value' && hasManyRows(format))
    add(by, `leads into one object, and the values are ${format}, which hold many; ${instead}`);
  else if (into === 'value' && !holdsObjects(format))
    add(by, `leads into JSON, and the values are ${format}; ${instead}`);
  if (into === 'key' && keyFormat(key) === 'bytes') add(by, KEYS_ARE_BYTES);
  if (into === 'envelope' && envelope === undefined) add(by, NO_ENVELOPE);
  return problems;
}

/**
 * One table in two spellings would be two: its rows would be looked for twice, and counted twice.
 *
 * @param ownDatabase the database of names without one
 */
function twoSpellings({ table }: Pipeline, ownDatabase: string): ConfigProblem[] {
  if (typeof table !== 'object') return [];
  const spellings = new Map<string, string>();
  for (const text of fixedTables({ table: null, tablesOfValues: tablesOfValues(table) }) ?? []) {
    const { database, name } = parseTableName(text);
    const key = JSON.stringify([database ?? ownDatabase, name]);
    const other = spellings.get(key);
    if (other !== undefined)
      return [{ path: ['table'], message: `names one table as ${other} and as ${text}: write it in the same way` }];
    spellings.set(key, text);
  }
  return [];
}

function keyFormat(key: Pipeline['key']): string {
  return key?.format ?? 'bytes';
}

const KEYS_ARE_BYTES = 'leads into the key, and keys are bytes: set key.format';
const NO_ENVELOPE = 'leads into the envelope, and there is none: set envelope';

/** The source of each identity column by which rows are looked up. */
const COORDINATES: ReadonlyMap<string, string> = new Map([
  ['_topic', 'topic'],
  ['_partition', 'partition'],
  ['_offset', 'offset'],
  ['_epoch', 'epoch'],
  ['_timestamp', 'timestamp'],
]);

/** `_key` is filled, too, if the table has it, and `_row` if records may hold many rows. */
function isIdentityColumn(column: string, { format }: Pick<Pipeline, 'format'>): boolean {
  return column === '_key' || COORDINATES.has(column) || (column === '_row' && hasManyRows(format));
}

function identityColumns({ columns, format }: Pipeline): ConfigProblem[] {
  return Object.entries(columns).flatMap(([column, source]) => {
    if (column === '_row' && hasManyRows(format)) {
      const message = `is an identity column, by which rows are found again; it takes the index of the row in its record`;
      return [{ path: ['columns', column], message }];
    }
    const own = COORDINATES.get(column);
    if (own === undefined || own === source) return [];
    const message = `is an identity column, by which rows are found again; it takes ${own}, and nothing else`;
    return [{ path: ['columns', column], message }];
  });
}

/**
 * Bytes of a pipeline's settings as JSON. They travel beside up to 1.4 MB of records, and both together have to stay
 * below the 2 MiB that Temporal takes, or batches could not be inserted.
 */
const SETTINGS_BYTES_MAX = 64 * 1024;

/** The problem is reported at the key that takes the most. */
function settingsSize(pipeline: Pipeline, name: string): ConfigProblem[] {
  const bytes = jsonBytes(settingsOf(name, pipeline));
  if (bytes <= SETTINGS_BYTES_MAX) return [];
  const { table, tables, columns, where = [], unknownFields, reply = {} } = pipeline;
  const sizes = Object.entries({ table, tables, columns, where, unknownFields, reply }).map(
    ([key, value]) => [key, jsonBytes(value)] as const,
  );
  const [largest] = sizes.reduce((most, other) => (other[1] > most[1] ? other : most));
  const message = `is too long: the settings that travel with the pipeline's records take ${bytes} bytes as JSON, and may take ${SETTINGS_BYTES_MAX}. It is the largest part of them`;
  return [{ path: [largest], message }];
}

/** Some keys are about JSON objects only, and some columns are for values of other formats. */
function formatOfValues({ format, key, unknownFields, evolve, columns, shardBy, where }: Pipeline): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if (shardBy.startsWith('key:') && keyFormat(key) === 'bytes')
    problems.push({ path: ['shardBy'], message: KEYS_ARE_BYTES });
  if (format !== 'json' && !isDecoded(format) && shardBy.startsWith('/')) {
    const ways = 'use key, partition, or header:NAME';
    const message = hasManyRows(format)
      ? `leads into one object, and the values are ${format}, which hold many; ${ways}`
      : `leads into JSON, and the values are ${format}; ${ways}`;
    problems.push({ path: ['shardBy'], message });
  }
  if (typeof unknownFields === 'object' && Object.hasOwn(columns, unknownFields.into))
    problems.push({ path: ['unknownFields', 'into'], message: `is a column that columns fills with something else` });
  if (typeof unknownFields === 'object' && isIdentityColumn(unknownFields.into, { format }))
    problems.push({ path: ['unknownFields', 'into'], message: `is an identity column, by which rows are found again` });
  if (holdsObjects(format)) return problems;
  for (const [column, source] of Object.entries(columns)) {
    const path = ['columns', column];
    if (sourcesIn(source).some((from) => from.startsWith('/') || from === 'document')) {
      const message = `leads into JSON, and the values are ${format}; use value, key, header:NAME, or a coordinate`;
      problems.push({ path, message });
    }
    if (column === 'value' && !Object.values(columns).includes('value')) {
      const message = `the column value is for the record's value where no other column is: give it to one, as "value"`;
      problems.push({ path, message });
    }
  }
  if (where !== undefined)
    problems.push({ path: ['where'], message: `is about JSON objects; the values are ${format}` });
  if (evolve !== 'off') problems.push({ path: ['evolve'], message: `is about JSON objects; the values are ${format}` });
  if (unknownFields !== 'ignore')
    problems.push({ path: ['unknownFields'], message: `is about JSON objects; the values are ${format}` });
  return problems;
}

/** What Debezium's envelopes have, and the schema around them. */
const IN_ENVELOPE: ReadonlySet<string> = new Set([
  ...['before', 'after', 'source', 'op', 'transaction', 'ts_ms', 'ts_us', 'ts_ns'],
  ...['schema', 'payload'],
]);

/** The keys of an envelope, and what does not go together with one. */
function envelopeOfValues({
  format,
  envelope,
  debezium,
  avro,
  tombstones,
  columns,
  unknownFields,
  shardBy,
}: Pipeline): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const add = (path: ConfigProblem['path'], message: string): void => void problems.push({ path, message });
  if (envelope === undefined) {
    if (debezium !== undefined) add(['debezium'], 'needs envelope: debezium');
    return problems;
  }
  if (!holdsObjects(format) || hasManyRows(format))
    add(['envelope'], `is around one JSON object; the values are ${format}`);
  if (avro?.unions === 'named') add(['avro', 'unions'], 'must be plain with an envelope, whose parts are unions');
  if (tombstones === 'insert')
    add(['tombstones'], 'cannot be insert: Debezium writes one after each deletion, and they are skipped');
  if (shardBy.startsWith('/') && !IN_ENVELOPE.has(pointerTokens(shardBy)[0] ?? ''))
    add(
      ['shardBy'],
      'leads into the envelope, where there is nothing of this name; the row is in /after and /before. Use key:/POINTER, or key',
    );
  const into = typeof unknownFields === 'object' ? unknownFields.into : undefined;
  for (const column of ['_version', '_is_deleted']) {
    const message = 'is filled from the envelope';
    if (Object.hasOwn(columns, column)) add(['columns', column], message);
    if (into === column) add(['unknownFields', 'into'], message);
  }
  return problems;
}

/** The keys of Avro and Protobuf, and what they need. */
function decodedFormat(
  { format, avro, protobuf, key }: Pipeline,
  schemaRegistry: CheckedParts['schemaRegistry'],
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  if ((format === 'avro' || format === 'protobuf') && schemaRegistry === undefined)
    problems.push({ path: ['format'], message: NEEDS_REGISTRY });
  if ((key?.format === 'avro' || key?.format === 'protobuf') && schemaRegistry === undefined)
    problems.push({ path: ['key', 'format'], message: NEEDS_REGISTRY });
  if (format !== 'avro' && avro !== undefined)
    problems.push({ path: ['avro'], message: `is about Avro; the values are ${format}` });
  if (format !== 'protobuf' && protobuf !== undefined)
    problems.push({ path: ['protobuf'], message: `is about Protobuf; the values are ${format}` });
  return problems;
}

const NEEDS_REGISTRY = 'needs schemaRegistry, which has the schemas';

/** Columns that are taken from within the key, or from the envelope, where nothing can be. */
function missingDocuments({ key, envelope, columns }: Pipeline): ConfigProblem[] {
  const missing = new Map<PointedAt, string>();
  if (keyFormat(key) === 'bytes') missing.set('key', KEYS_ARE_BYTES);
  if (envelope === undefined) missing.set('envelope', NO_ENVELOPE);
  return Object.entries(columns).flatMap(([column, source]) => {
    const into = new Set(sourcesIn(source).map((from) => pointerOf(from)?.into ?? 'value'));
    return [...into].flatMap((one) => {
      const message = missing.get(one);
      return message === undefined ? [] : [{ path: ['columns', column], message }];
    });
  });
}

function registry(parsed: CheckedParts['schemaRegistry']): ConfigProblem[] {
  if (parsed === undefined) return [];
  const { url: address, tls, token, username, password } = parsed;
  const problems: ConfigProblem[] = [];
  const add = (key: string, message: string): void => {
    problems.push({ path: ['schemaRegistry', key], message });
  };
  const url = new URL(address);
  if (url.username !== '' || url.password !== '') add('url', 'must not hold credentials; use username and password');
  if (url.search !== '') add('url', 'must not hold parameters');
  if (tls !== undefined && url.protocol === 'http:')
    add('tls', 'is for an https:// address, and url is an http:// one');
  if (token !== undefined && (username !== undefined || password !== ''))
    add('token', 'stands for user and password: leave username and password out, or token');
  if (username === undefined && password !== '') add('password', 'has no username beside it: set username, too');
  return problems;
}

function clickHouse({
  url,
  urls,
  settings,
  tls,
  accessToken,
  username,
  password,
}: CheckedParts['clickhouse']): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const add = (path: ConfigProblem['path'], message: string): void => {
    problems.push({ path: ['clickhouse', ...path], message });
  };
  for (const setting of Object.keys(settings)) {
    const why = whyOwned(setting);
    if (why !== undefined) add(['settings', setting], why);
  }
  const places: [ConfigProblem['path'], string][] = (urls ?? []).map((address, index) => [['urls', index], address]);
  if (url !== undefined) places.unshift([['url'], url]);
  if (url !== undefined && urls !== undefined) add(['urls'], 'stands for url: leave one of them out');
  for (const [path, address] of places) {
    const { username: user, password: secret, search } = new URL(address);
    if (user !== '' || secret !== '') add(path, 'must not hold credentials; use username and password');
    // The client would also read a password from there, and messages show the address.
    if (search !== '') add(path, 'must not hold parameters');
  }
  const [plain] = places.find(([, address]) => new URL(address).protocol === 'http:') ?? [];
  if (tls !== undefined && (plain !== undefined || places.length === 0)) {
    const named = plain?.length === 2 ? `urls[${plain[1]}]` : 'url';
    add(['tls'], `is for an https:// address, and ${named} is an http:// one`);
  }
  if (new Set(urls).size < (urls ?? []).length) add(['urls'], 'names an address twice');
  if (accessToken !== undefined && (password !== '' || username !== 'default'))
    add(['accessToken'], 'stands for user and password: leave username and password out, or accessToken');
  return problems;
}

/** The texts of a source, as the file has it. */
function sourcesIn(source: Pipeline['columns'][string]): readonly string[] {
  return typeof source === 'string' ? [source] : [...(source.first ?? []), source.from ?? ''];
}
