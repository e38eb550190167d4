import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { deadLetterTopicOf } from './config.js';
import { whyOwned } from './insertSettings.js';
import { configSchema, pipeline as pipelineSchema, type ParsedConfig } from './schema.js';
import { collidingTopics } from '../protocol/tables.js';
import { UsageError } from '../lib/usageError.js';
import { isTopicPattern, topicPattern } from './topics.js';

/** One problem of a configuration: its place, and what to do. */
export interface ConfigProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** A configuration that cannot be used. The message lists every problem, one per line. A retry does not help. */
export class ConfigError extends UsageError {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(
    file: string,
    problems: readonly ConfigProblem[],
    lineOf: (path: ConfigProblem['path']) => number | undefined = () => undefined,
  ) {
    const lines = problems.map(({ path, message }) => {
      const line = lineOf(path);
      const where = path.length === 0 ? '' : `${formatPath(path)}: `;
      return `  ${line === undefined ? '' : `line ${line}: `}${where}${message}`;
    });
    super(`${file} has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${lines.join('\n')}`);
    this.problems = problems;
  }
}

/** The parts that are checked together: connections, and pipelines by name. */
export type CheckedParts = Pick<ParsedConfig, 'kafka' | 'temporal' | 'clickhouse' | 'pipelines'>;

/** The result of a check. `parts`: the valid parts, which can be checked further although something else is wrong. */
export type Checked =
  | { readonly ok: true; readonly parsed: ParsedConfig }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly parts: CheckedParts };

/** Checks a whole configuration and reports all problems, not only the first. */
export function checkConfig(input: unknown): Checked {
  const result = configSchema.safeParse(input ?? {});
  if (result.success) {
    const problems = crossChecks(result.data);
    return problems.length > 0 ? { ok: false, problems, parts: result.data } : { ok: true, parsed: result.data };
  }
  const problems = result.error.issues.flatMap((issue) => toProblems(issue, input));
  const parts = validParts(input);
  return { ok: false, problems: [...problems, ...crossChecks(parts)], parts };
}

/** The connections and pipelines that match the schema. A connection that does not is replaced by its defaults. */
function validParts(input: unknown): CheckedParts {
  const { shape } = configSchema;
  const { kafka, temporal, clickhouse, pipelines } = asMapping(input);
  const named = Object.entries(asMapping(pipelines)).flatMap(([name, value]) => {
    const { data } = pipelineSchema.safeParse(value);
    return data === undefined ? [] : [[name, data] as const];
  });
  return {
    kafka: shape.kafka.safeParse(kafka).data ?? shape.kafka.parse(undefined),
    temporal: shape.temporal.safeParse(temporal).data ?? shape.temporal.parse(undefined),
    clickhouse: shape.clickhouse.safeParse(clickhouse).data ?? shape.clickhouse.parse(undefined),
    pipelines: Object.fromEntries(named),
  };
}

function asMapping(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** `pipelines.orders.batch.maxDelay`, `kafka.brokers[0]`. */
function formatPath(path: ConfigProblem['path']): string {
  return path.map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index > 0 ? '.' : ''}${key}`)).join('');
}

type Issue = z.core.$ZodIssue;

function toProblems(issue: Issue, input: unknown): ConfigProblem[] {
  const path = issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key));
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(path);
      return issue.keys.map((key) => ({
        path: [...path, key],
        message: `unknown key${suggestion(key, known) || `; known are ${known.join(', ')}`}`,
      }));
    }
    case 'invalid_key':
      return [{ path, message: issue.issues[0]?.message ?? issue.message }];
    case 'invalid_union': {
      // The variant that got furthest explains best. If there is none, the union's own message is used.
      const inner = issue.errors.find((issues) =>
        issues.some(({ code, path: at }) => code === 'unrecognized_keys' || at.length > 0),
      );
      if (inner !== undefined)
        return inner.flatMap((nested) => toProblems({ ...nested, path: [...issue.path, ...nested.path] }, input));
      return [{ path, message: present(issue, path, input) }];
    }
    case 'invalid_value': {
      const allowed = issue.values.map(String);
      const value = valueAt(input, path);
      if (value === undefined || issue.message.startsWith('must'))
        return [{ path, message: present(issue, path, input) }];
      return [
        {
          path,
          message: `must be one of ${allowed.join(', ')}${suggestion(typeof value === 'string' ? value : '', allowed)}`,
        },
      ];
    }
    default:
      return [{ path, message: present(issue, path, input) }];
  }
}

/** The issue in words that help a person. A missing key is called missing. */
function present(issue: Issue, path: ConfigProblem['path'], input: unknown): string {
  const missing = valueAt(input, path) === undefined;
  if (missing && path.length > 0) return 'is missing';
  if (issue.code === 'invalid_type' && !issue.message.startsWith('must')) return `must be ${article(issue.expected)}`;
  return issue.message;
}

function article(expected: string): string {
  const names: Record<string, string> = {
    object: 'a mapping',
    record: 'a mapping',
    array: 'a list',
    string: 'a text',
    boolean: 'true or false',
  };
  return names[expected] ?? `a ${expected}`;
}

function valueAt(input: unknown, path: ConfigProblem['path']): unknown {
  let value = input;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}

/** Suggests a known word if at most a third of its letters differ. */
function suggestion(word: string, known: readonly string[]): string {
  if (known.length === 0) return '';
  const nearest = closest(word, [...known]);
  const near = distance(word.toLowerCase(), nearest.toLowerCase()) <= Math.max(1, Math.ceil(nearest.length / 3));
  return near ? `; did you mean ${nearest}?` : '';
}

/** The keys that the schema allows at a path, from its JSON Schema. */
function knownKeys(path: ConfigProblem['path']): string[] {
  let schema = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  for (const key of path) {
    const { properties, additionalProperties, items } = objectVariant(schema);
    const next = properties?.[key] ?? (typeof additionalProperties === 'object' ? additionalProperties : items);
    if (next === undefined) return [];
    schema = next;
  }
  return Object.keys(objectVariant(schema).properties ?? {});
}

interface JsonSchema {
  readonly properties?: Record<string, JsonSchema>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

function objectVariant(schema: JsonSchema): JsonSchema {
  return schema.anyOf?.find(({ properties }) => properties !== undefined) ?? schema;
}

/** The source of each identity column by which rows are looked up. */
const COORDINATES: Readonly<Record<string, string>> = {
  _topic: 'topic',
  _partition: 'partition',
  _offset: 'offset',
  _epoch: 'epoch',
  _timestamp: 'timestamp',
};

/** Checks that involve more than one key. */
function crossChecks({ pipelines, clickhouse }: CheckedParts): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const inputs = new Map<string, string>();
  const groups = new Map<string, string>();
  for (const [name, { topics, groupId = `ktb-${name}` }] of Object.entries(pipelines)) {
    for (const topic of topics) inputs.set(topic, name);
    const other = groups.get(groupId);
    if (other !== undefined) {
      const message = `is also the group of pipeline ${other}; each pipeline needs a consumer group of its own`;
      problems.push({ path: ['pipelines', name, 'groupId'], message });
    }
    groups.set(groupId, name);
  }
  for (const [name, pipeline] of Object.entries(pipelines)) {
    const { reply } = pipeline;
    const deadLetterTopic = deadLetterTopicOf(name, pipeline);
    const replies: [ConfigProblem['path'], string][] = [
      ...(reply === undefined ? [] : [[['reply', 'topic'], reply.topic] satisfies [ConfigProblem['path'], string]]),
      ...(reply?.allowTopics ?? []).map((topic, index): [ConfigProblem['path'], string] => [
        ['reply', 'allowTopics', index],
        topic,
      ]),
    ];
    for (const [path, topic] of [...replies, [['deadLetter', 'topic'], deadLetterTopic] as const]) {
      const reader = inputs.get(topic);
      if (reader !== undefined) {
        const message = `${topic} is an input topic of pipeline ${reader}; records would go round in circles`;
        problems.push({ path: ['pipelines', name, ...path], message });
      }
    }
    for (const [path, topic] of replies) {
      if (topic === deadLetterTopic)
        problems.push({ path: ['pipelines', name, ...path], message: 'must not be the dead-letter topic' });
    }
  }
  for (const [name, { topics, tables }] of Object.entries(pipelines)) {
    const patterns = topics.filter(isTopicPattern).map(topicPattern);
    for (const topic of Object.keys(tables)) {
      if (topics.includes(topic) || patterns.some((pattern) => pattern?.test(topic))) continue;
      problems.push({ path: ['pipelines', name, 'tables', topic], message: 'is no input topic of the pipeline' });
    }
  }
  for (const [name, { topics, table, tables }] of Object.entries(pipelines)) {
    const named = topics.filter((topic) => !isTopicPattern(topic));
    for (const [shared, sharing] of collidingTopics({ table: { ofTopics: tables, others: table } }, named)) {
      const message = `topics ${sharing.join(' and ')} would share the table ${shared}: give them tables of their own under tables`;
      problems.push({ path: ['pipelines', name, 'table'], message });
    }
  }
  for (const [name, { columns }] of Object.entries(pipelines)) {
    for (const [column, source] of Object.entries(columns)) {
      const own = COORDINATES[column];
      if (own === undefined || own === source) continue;
      const message = `is an identity column, by which rows are found again; it takes ${own}, and nothing else`;
      problems.push({ path: ['pipelines', name, 'columns', column], message });
    }
  }
  for (const [name, { format, unknownFields, columns, shardBy }] of Object.entries(pipelines)) {
    if (format === 'json') continue;
    if (shardBy.startsWith('/')) {
      const message = `leads into JSON, and the values are ${format}; use key, partition, or header:NAME`;
      problems.push({ path: ['pipelines', name, 'shardBy'], message });
    }
    for (const [column, source] of Object.entries(columns)) {
      const message = `leads into JSON, and the values are ${format}; use value, key, header:NAME, or a coordinate`;
      if (source.startsWith('/')) problems.push({ path: ['pipelines', name, 'columns', column], message });
      if (column === 'value' && !Object.values(columns).includes('value')) {
        const taken = `the column value is for the record's value where no other column is: give it to one, as "value"`;
        problems.push({ path: ['pipelines', name, 'columns', column], message: taken });
      }
    }
    if (unknownFields === 'reject')
      problems.push({
        path: ['pipelines', name, 'unknownFields'],
        message: `is about JSON objects; the values are ${format}`,
      });
  }
  for (const setting of Object.keys(clickhouse.settings)) {
    const why = whyOwned(setting);
    if (why !== undefined) problems.push({ path: ['clickhouse', 'settings', setting], message: why });
  }
  const url = new URL(clickhouse.url);
  if (url.username !== '' || url.password !== '') {
    problems.push({ path: ['clickhouse', 'url'], message: 'must not hold credentials; use username and password' });
  }
  // The client would also read a password from there, and messages show the address.
  if (url.search !== '') problems.push({ path: ['clickhouse', 'url'], message: 'must not hold parameters' });
  if (clickhouse.tls !== undefined && url.protocol === 'http:') {
    problems.push({ path: ['clickhouse', 'tls'], message: 'is for an https:// address, and url is an http:// one' });
  }
  if (clickhouse.accessToken !== undefined && (clickhouse.password !== '' || clickhouse.username !== 'default')) {
    const message = 'stands for user and password: leave username and password out, or accessToken';
    problems.push({ path: ['clickhouse', 'accessToken'], message });
  }
  return problems;
}
