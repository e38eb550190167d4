import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';

/** As much of JSON Schema, and of what OpenAPI documents and CRDs add to it, as they use. */
export interface Schema {
  readonly [keyword: string]: unknown;
  readonly type?: string;
  readonly format?: string;
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
}

interface Kind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

const REFERENCE = '#/definitions/';
const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const INT_OR_STRING: Schema = { anyOf: [{ type: 'integer' }, { type: 'string' }] };
const QUANTITY: Schema = { anyOf: [{ type: 'number' }, { type: 'string' }] };

/** Definitions that are written as texts, but are also numbers in what people write. */
const REPLACED: Readonly<Record<string, Schema>> = {
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': INT_OR_STRING,
  'io.k8s.apimachinery.pkg.api.resource.Quantity': QUANTITY,
};

/** The file of a kind's schema, as kubeconform is told to look for it: see {@link SCHEMA_LOCATION}. */
export const SCHEMA_LOCATION = '{{ .ResourceKind }}{{ .KindSuffix }}.json';

/** The file of the definitions themselves, of KEDA's and the Prometheus operator's kinds. */
export const CRDS = 'crds.yaml';

function fileOf({ group, version, kind }: Kind): string {
  const suffix = group === '' ? `-${version}` : `-${group.split('.')[0] ?? ''}-${version}`;
  return `${kind}${suffix}.json`.toLowerCase();
}

/**
 * Writes a strict JSON Schema for every kind of Kubernetes, and for those of the Prometheus operator and KEDA, the definitions of
 * the latter, and what KEDA's scalers can be told.
 */
export async function writeSchemas(
  directory: string,
  modules: { readonly kubernetes: string; readonly prometheusOperator: string; readonly keda: string },
): Promise<void> {
  const openApi = await readFile(join(modules.kubernetes, 'api/openapi-spec/swagger.json'), 'utf8');
  const { definitions } = JSON.parse(openApi) as { definitions: Record<string, Schema> };
  const schemas = new Map(kubernetesSchemas(definitions));
  const metadata = { $ref: `${REFERENCE}${OBJECT_META}` };
  const metadataDefinitions = selfContained(definitions, metadata)['definitions'];
  const crdFolders = [
    join(modules.prometheusOperator, 'example/prometheus-operator-crd'),
    join(modules.keda, 'config/crd/bases'),
  ];
  const definitionsOfOthers: string[] = [];
  for (const folder of crdFolders) {
    for (const file of await readdir(folder)) {
      if (!/^(monitoring\.coreos\.com_(podmonitors|servicemonitors|prometheusrules)|keda\.sh_)/.test(file)) continue;
      const text = await readFile(join(folder, file), 'utf8');
      const crd = parse(text) as CustomResourceDefinition;
      definitionsOfOthers.push(text);
      for (const [name, schema] of crdSchemas(crd, metadata, metadataDefinitions)) schemas.set(name, schema);
    }
  }
  await mkdir(directory, { recursive: true });
  for (const [name, schema] of schemas) await writeFile(join(directory, name), JSON.stringify(schema));
  await writeFile(join(directory, CRDS), definitionsOfOthers.join('\n---\n'));
  const scalers: Record<string, ScalerParameters> = {};
  for (const name of ['kafka', 'temporal']) {
    scalers[name] = scalerParameters(await readFile(join(modules.keda, `pkg/scalers/${name}_scaler.go`), 'utf8'));
  }
  await writeFile(join(directory, 'keda-scalers.json'), JSON.stringify(scalers));
}

function kubernetesSchemas(definitions: Readonly<Record<string, Schema>>): [string, Schema][] {
  return Object.entries(definitions).flatMap(([name, definition]) => {
    const kinds = (definition['x-kubernetes-group-version-kind'] ?? []) as Kind[];
    // Options of API calls are of every group and are no objects.
    const [kind] = kinds;
    if (kind === undefined || kinds.length > 1) return [];
    const schema = selfContained(definitions, { $ref: `${REFERENCE}${name}` });
    return [[fileOf(kind), { ...schema, required: ['apiVersion', 'kind', 'metadata'] }] satisfies [string, Schema]];
  });
}

/** A schema with the definitions that it needs, all of them strict. */
function selfContained(definitions: Readonly<Record<string, Schema>>, schema: Schema): Schema {
  const needed: Record<string, Schema> = {};
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const reference = (value as Schema).$ref;
    if (typeof reference === 'string') {
      const name = reference.slice(REFERENCE.length);
      if (name in needed) return;
      needed[name] = REPLACED[name] ?? strict(definitions[name] ?? {});
      visit(needed[name]);
      return;
    }
    Object.values(value).forEach(visit);
  };
  visit(schema);
  // Keywords beside $ref count from draft 2019-09 on.
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', ...schema, definitions: needed };
}

interface CustomResourceDefinition {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

function crdSchemas({ spec }: CustomResourceDefinition, metadata: Schema, definitions: unknown): [string, Schema][] {
  return spec.versions.map(({ name: version, schema: { openAPIV3Schema } }) => {
    const schema = strict(openAPIV3Schema);
    return [
      fileOf({ group: spec.group, version, kind: spec.names.kind }),
      {
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        ...schema,
        properties: { ...schema.properties, metadata },
        required: ['apiVersion', 'kind', 'metadata', 'spec'],
        definitions,
      },
    ];
  });
}

/** Forbids every property that a schema does not name, as the API server does with `--validate=strict`. */
function strict(schema: Schema): Schema {
  if (schema['x-kubernetes-int-or-string'] === true) return INT_OR_STRING;
  const { properties, additionalProperties, items } = schema;
  const open = additionalProperties !== undefined || schema['x-kubernetes-preserve-unknown-fields'] === true;
  const result: Record<string, unknown> = { ...schema };
  // Go's sizes of numbers, which JSON Schema does not know.
  delete result['format'];
  if (properties !== undefined) {
    const entries = Object.entries(properties).map(([key, child]) => [key, strict(child)]);
    result['properties'] = Object.fromEntries(entries);
    if (!open) result['additionalProperties'] = false;
  }
  if (typeof additionalProperties === 'object') result['additionalProperties'] = strict(additionalProperties);
  if (items !== undefined) result['items'] = strict(items);
  return result;
}

/** What a scaler of KEDA takes from a trigger's metadata, and what from its authentication. */
export interface ScalerParameters {
  readonly metadata: readonly string[];
  readonly authentication: readonly string[];
}

/** KEDA keeps the names in the tags of a struct: `keda:"name=topic,order=triggerMetadata;resolvedEnv,optional"`. */
function scalerParameters(source: string): ScalerParameters {
  const tags = [...source.matchAll(/`keda:"name=(\w+)\s*,\s*order=([\w;]+)/g)];
  const from = (place: string): string[] =>
    tags.filter(([, , order]) => order?.split(';').includes(place)).map(([, name]) => name ?? '');
  return { metadata: from('triggerMetadata'), authentication: from('authParams') };
}
