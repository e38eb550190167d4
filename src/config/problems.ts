import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import type { CheckedParts, ConfigProblem } from './configProblem.js';
import { crossChecks } from './crossChecks.js';
import { pipeline as pipelineSchema } from './pipelineSchema.js';
import { configJsonSchema, objectOf } from './reference.js';
import { configSchema, type ParsedConfig } from './schema.js';
import { UsageError } from '../lib/usageError.js';

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

/** The result of a check. `parts`: the valid parts, which can be checked further although something else is wrong. */
export type Checked =
  | { readonly ok: true; readonly parsed: ParsedConfig }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly parts: CheckedParts };

/** Checks a whole configuration and reports all problems, not only the first. */
export function checkConfig(input: unknown): Checked {
  const result = configSchema.safeParse(input ?? {});
  if (result.success) {
    const problems = [...namesThatGetLost(input), ...crossChecks(result.data)];
    return problems.length > 0 ? { ok: false, problems, parts: result.data } : { ok: true, parsed: result.data };
  }
  const problems = result.error.issues.flatMap((issue) => toProblems(issue, input));
  const parts = validParts(input);
  return { ok: false, problems: [...problems, ...namesThatGetLost(input), ...crossChecks(parts)], parts };
}

/** The only name that an object of JavaScript cannot hold as any other. The schema would leave it out without a word. */
const LOST_NAME = '__proto__';

function namesThatGetLost(input: unknown): ConfigProblem[] {
  const { pipelines } = asMapping(input);
  const places = [['pipelines']].concat(
    Object.keys(asMapping(pipelines)).flatMap((name) =>
      [['columns'], ['tables'], ['table', 'tables']].map((keys) => ['pipelines', name, ...keys]),
    ),
  );
  return places.flatMap((path) => {
    const mapping = path.reduce((outer: unknown, key) => asMapping(outer)[key], input);
    const message = 'cannot be a name here: rename it, or read it through a view';
    return Object.hasOwn(asMapping(mapping), LOST_NAME) ? [{ path: [...path, LOST_NAME], message }] : [];
  });
}

/** The connections and pipelines that match the schema. A connection that does not is replaced by its defaults. */
function validParts(input: unknown): CheckedParts {
  const { shape } = configSchema;
  const { kafka, temporal, clickhouse, schemaRegistry, pipelines } = asMapping(input);
  const named = Object.entries(asMapping(pipelines)).flatMap(([name, value]) => {
    const { data } = pipelineSchema.safeParse(value);
    return data === undefined ? [] : [[name, data] as const];
  });
  return {
    kafka: shape.kafka.safeParse(kafka).data ?? shape.kafka.parse(undefined),
    temporal: shape.temporal.safeParse(temporal).data ?? shape.temporal.parse(undefined),
    clickhouse: shape.clickhouse.safeParse(clickhouse).data ?? shape.clickhouse.parse(undefined),
    schemaRegistry: shape.schemaRegistry.safeParse(schemaRegistry).data,
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
  let schema = configJsonSchema();
  for (const key of path) {
    const { properties, additionalProperties, items } = objectOf(schema);
    const next = properties?.[key] ?? (typeof additionalProperties === 'object' ? additionalProperties : items);
    if (next === undefined) return [];
    schema = next;
  }
  return Object.keys(objectOf(schema).properties ?? {});
}
