import { z } from 'zod';
import { classOf } from './liveSettings.js';
import { configSchema } from './schema.js';

/** As much of JSON Schema as the configuration uses. */
export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
}

/**
 * The JSON Schema of the configuration file, for a file whose `${VARIABLE}` references are resolved. Descriptions end with
 * the bounds of the value.
 */
export function configJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' });
  return JSON.parse(JSON.stringify(schema), (_, value: unknown) => withDescribedBounds(value)) as JsonSchema;
}

function withDescribedBounds(value: unknown): unknown {
  if (!hasBounds(value)) return value;
  const { bounds, ...schema } = value;
  return { ...schema, description: value.description === undefined ? bounds : `${value.description} ${bounds}` };
}

/** Whether this is a schema of which {@link bounded} has noted the bounds. */
function hasBounds(value: unknown): value is JsonSchema & { readonly bounds: string } {
  return typeof value === 'object' && value !== null && 'bounds' in value && typeof value.bounds === 'string';
}

/** The configuration reference in Markdown: every key with its default and purpose. Generated from the schema. */
export function configReference(): string {
  const rows = settingPaths().map(
    ({ path, text, standard }) =>
      `| \`${path}\` | ${standard} | ${classOf(path.split('.')) === 'live' ? 'live' : ''} | ${text} |`,
  );
  return ['| key | default | changes | |', '|---|---|---|---|', ...rows, ''].join('\n');
}

/** Every setting of the file. A name that the file chooses is `<name>` in its path. */
export function settingPaths(): readonly Setting[] {
  return keysOf(configJsonSchema(), '');
}

interface Setting {
  readonly path: string;
  readonly text: string;
  readonly standard: string;
}

function keysOf(schema: JsonSchema, prefix: string): Setting[] {
  const { properties = {}, additionalProperties, required = [] } = objectOf(schema);
  const keys = Object.entries(properties).flatMap(([name, child]) => {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const nested = keysOf(child, path);
    // A key that also takes a word or a boolean is one that can be set by itself.
    const isGroup = nested.length > 0 && (child.anyOf ?? []).every(({ type }) => type === 'object');
    // An optional group has a description of its own. Keys that are required are so within the group.
    if (isGroup && (child.default !== undefined || child.description === undefined)) return nested;
    return [{ path, text: textOf(child), standard: standardOf(child, required.includes(name)) }, ...nested];
  });
  const named = typeof additionalProperties === 'object' && additionalProperties.properties !== undefined;
  return named ? [...keys, ...keysOf(additionalProperties, `${prefix}.<name>`)] : keys;
}

/** The variant that is an object, if there are several. Otherwise the schema itself. */
export function objectOf(schema: JsonSchema): JsonSchema {
  return schema.anyOf?.find(({ properties }) => properties !== undefined) ?? schema;
}

function textOf({ description, enum: values, anyOf }: JsonSchema): string {
  const choices = values ?? anyOf?.flatMap((variant) => variant.enum ?? []) ?? [];
  const choice = choices.length > 1 ? `One of ${choices.map((value) => `\`${String(value)}\``).join(', ')}.` : '';
  return [description ?? '', choice].filter((part) => part !== '').join(' ');
}

function standardOf({ default: value }: JsonSchema, required: boolean): string {
  if (value === undefined) return required ? 'required' : '';
  if (value === '') return 'empty';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}
