import { isMap, isScalar, parseDocument, stringify, type YAMLMap } from 'yaml';
import { configJsonSchema } from '../src/config/reference.js';

/** As much of JSON Schema as the chart and the daemon's configuration use. */
export interface JsonSchema {
  type?: string | string[];
  description?: string;
  pattern?: string;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  minItems?: number;
  minLength?: number;
  $ref?: string;
}

/** A key of values.yaml, from the outermost inward, with the comment above it. */
interface Value {
  readonly path: readonly string[];
  readonly comment: string;
  readonly value: unknown;
}

/** `${VARIABLE}` of the daemon or `{{ }}` of Helm: nobody knows yet what it will be. */
const REFERENCE = '[$][{]|[{][{]';

/**
 * The chart's values.schema.json brought up to date: the descriptions from the comments of values.yaml, `config` from the
 * daemon's own schema, what roles and setup's credentials may have, and which keys null must not take away. Everything else in it is written by hand.
 *
 * @throws Error where a key has no comment, or is not in the schema
 */
export function chartSchema(schema: JsonSchema, valuesYaml: string): JsonSchema {
  const result = structuredClone(schema);
  const { config } = result.properties ?? {};
  const values = valuesOf(valuesYaml);
  for (const { path, comment } of values) {
    const found = schemaAt(result, path);
    if (found === undefined) {
      // What is below a map without properties is Kubernetes's, and no key of the chart.
      if (schemaAt(result, path.slice(0, -1))?.properties === undefined) continue;
      throw new Error(`values.schema.json does not have ${path.join('.')}`);
    }
    if (comment === '') throw new Error(`values.yaml says nothing about ${path.join('.')}`);
    found.description = comment;
  }
  const ofRole = roleProperties(values);
  for (const role of ROLES) {
    const section = result.properties?.[role];
    if (section !== undefined) section.properties = ofRole;
  }
  requireKeys(result);
  const ofSetup = schemaAt(result, ['setup', 'credentials']);
  const { credentials } = result.properties ?? {};
  if (ofSetup !== undefined && credentials !== undefined)
    Object.assign(ofSetup, { ...inPart(credentials), type: ofSetup.type, description: ofSetup.description });
  if (config === undefined) throw new Error('values.schema.json does not have config');
  const description = config.description ?? '';
  result.properties = { ...result.properties, config: { ...daemonSchema(), description } };
  return result;
}

const ROLES = ['consumer', 'worker'];

/** The values that a role may replace: of one list of keys in values.yaml, as its comment there says. */
function roleProperties(values: readonly Value[]): Record<string, JsonSchema> {
  const keys = values.flatMap(({ path: [key = '', ...below] }) => (below.length === 0 ? [key] : []));
  const own = keys.slice(keys.indexOf('replicaCount'), keys.indexOf('podDisruptionBudget') + 1);
  return Object.fromEntries(
    own.filter((key) => !ROLES.includes(key)).map((key) => [key, { $ref: `#/properties/${key}` }]),
  );
}

/** A schema for some of the same keys: none has to be there, and null says as much as its absence. */
function inPart(schema: JsonSchema): JsonSchema {
  const { properties = {}, ...rest } = schema;
  delete rest.required;
  delete rest.description;
  const children = Object.entries(properties).map(([key, child]) => [key, orNull(inPart(child))]);
  return children.length === 0 ? rest : { ...rest, properties: Object.fromEntries(children) as typeof properties };
}

/**
 * What null would take away, and the templates need, is refused instead: a section that they look into, a number (which would
 * become 0), a text that must not be empty.
 */
function requireKeys(schema: JsonSchema): void {
  const keys = Object.entries(schema.properties ?? {}).filter(([key]) => !NOT_SECTIONS.has(key));
  const sections = keys.filter(([, { type, properties }]) => type === 'object' && properties !== undefined);
  const others = keys.filter(([, { type, minLength = 0 }]) => type === 'integer' || minLength > 0);
  const required = [...sections, ...others].map(([key]) => key);
  if (required.length > 0) schema.required = required;
  for (const [, section] of sections) requireKeys(section);
}

/** What is not looked into as a section: values that a role's replace, and those of the daemon. */
const NOT_SECTIONS = new Set(['config', ...ROLES]);

/** The table of the chart's values in Markdown. */
export function valuesReference(schema: JsonSchema, valuesYaml: string): string {
  const rows = valuesOf(valuesYaml).flatMap(({ path, comment, value }) => {
    const found = schemaAt(schema, path);
    if (found === undefined) return [];
    const isGroup = found.properties !== undefined && path[0] !== 'config' && Object.keys(value as object).length > 0;
    const words = found.enum === undefined ? '' : ` One of ${found.enum.map((word) => code(word)).join(', ')}.`;
    return [`| \`${path.join('.')}\` | ${isGroup ? '' : code(value)} | ${(comment + words).replaceAll('|', '\\|')} |`];
  });
  return ['| key | default | |', '|---|---|---|', ...rows, ''].join('\n');
}

/** A default longer than this is not shown, but left to values.yaml. */
const DEFAULT_LENGTH_MAX = 40;

function code(value: unknown): string {
  if (value === '') return 'empty';
  const text = stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();
  return text.length > DEFAULT_LENGTH_MAX ? 'see values.yaml' : `\`${text}\``;
}

function valuesOf(valuesYaml: string): Value[] {
  const { contents } = parseDocument(valuesYaml);
  return isMap(contents) ? keysOf(contents, []) : [];
}

function keysOf(map: YAMLMap, above: readonly string[]): Value[] {
  return map.items.flatMap(({ key, value }, index) => {
    if (!isScalar(key)) return [];
    const path = [...above, String(key.value)];
    // The comment of the first key belongs to the map itself, as the parser sees it.
    const before = (index === 0 ? map.commentBefore : undefined) ?? key.commentBefore ?? '';
    const comment = (before.split(/\n\s*\n/).at(-1) ?? '').replace(/\s+/g, ' ').trim();
    const json = isMap(value) || !isScalar(value) ? (value as { toJSON(): unknown }).toJSON() : value.value;
    return [{ path, comment, value: json }, ...(isMap(value) ? keysOf(value, path) : [])];
  });
}

function schemaAt(schema: JsonSchema, path: readonly string[]): JsonSchema | undefined {
  let found: JsonSchema | undefined = schema;
  for (const key of path) found = found?.properties?.[key];
  return found;
}

/** Keys that the daemon requires, but that credentials fill in, or whose absence the templates explain better. */
const NOT_REQUIRED_HERE = new Set(['mechanism', 'username', 'password', 'pipelines']);

/**
 * The daemon's schema for what stands in `config` before the chart adds credentials and the daemon resolves references:
 * nothing is required that may come from there, and a reference fits wherever a text does. null takes away what need not be
 * there, as it does everywhere in Helm's values.
 */
function daemonSchema(): JsonSchema {
  return loosened(configJsonSchema() as JsonSchema);
}

function loosened({ type, description, pattern, enum: words, const: word, ...schema }: JsonSchema): JsonSchema {
  const said = description === undefined ? {} : { description };
  if (schema.anyOf !== undefined) {
    // A flag or a map, a number or digits: keywords for a type leave the others alone, and errors stay readable.
    const variants = schema.anyOf.map(loosened);
    const { pattern: _, ...merged } = variants.reduce<JsonSchema>((all, variant) => ({ ...all, ...variant }), {});
    const patterns = variants.filter(({ type }) => type === 'string').map((variant) => variant.pattern);
    return {
      ...merged,
      type: [...new Set(variants.flatMap((variant) => variant.type ?? []))],
      // Words beside any text are any text.
      ...(patterns.length > 0 && patterns.every((each) => each !== undefined) ? { pattern: patterns.join('|') } : {}),
      ...said,
    };
  }
  const allowed = words ?? (word === undefined ? undefined : [word]);
  if (allowed !== undefined) return { type: 'string', pattern: `^(${allowed.join('|')})$|${REFERENCE}`, ...said };
  const { properties, additionalProperties, items, minItems } = schema;
  const required = (schema.required ?? []).filter((key) => !NOT_REQUIRED_HERE.has(key));
  const children = Object.entries(properties ?? {}).map(([key, child]): [string, JsonSchema] => [
    key,
    required.includes(key) ? loosened(child) : orNull(loosened(child)),
  ]);
  return {
    ...(type === undefined ? {} : { type }),
    ...(pattern === undefined ? {} : { pattern: `${pattern}|${REFERENCE}` }),
    ...(minItems === undefined ? {} : { minItems }),
    ...(required.length === 0 ? {} : { required }),
    ...(items === undefined ? {} : { items: loosened(items) }),
    ...(typeof additionalProperties === 'object'
      ? { additionalProperties: orNull(loosened(additionalProperties)) }
      : additionalProperties === undefined
        ? {}
        : { additionalProperties }),
    ...(properties === undefined ? {} : { properties: Object.fromEntries(children) }),
    ...said,
  };
}

function orNull({ type, ...schema }: JsonSchema): JsonSchema {
  return type === undefined ? schema : { type: [type, 'null'].flat(), ...schema };
}
