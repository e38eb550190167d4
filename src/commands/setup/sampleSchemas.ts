import {
  columnsOfField,
  fieldOfSchema,
  mergeColumns,
  type ColumnTypes,
} from '../../clickhouse/schemaColumns/schemaColumns.js';
import type { FieldType } from '../../clickhouse/schemaColumns/fieldType.js';
import { jsonSchemaField } from '../../clickhouse/schemaColumns/jsonSchemaFields.js';
import { Decoders, parseRegistered } from '../../formats/decoders.js';
import { choicesOf, prepareDecoding, type RecordDecoder } from '../../formats/recordDecoder.js';
import { writtenWith } from '../../formats/recordSchemas.js';
import type { RegisteredSchema, SchemaRegistry } from '../../formats/schemaRegistry.js';
import { rangesOf, readRanges } from '../../kafka/readRanges.js';
import type { SourcedRecord } from '../../protocol/record.js';
import { isDecoded, type Destination, type Mapping } from '../../protocol/settings.js';
import { tellPassedOver } from '../shared/passedOver.js';
import { keyColumns, rowMaker, textsOf } from './sampleRows.js';
import { SAMPLE_WAIT_MS, type Sample, type SampledParts, type TableOfTopics } from './sample.js';

/**
 * Finds the columns for values that have a schema: by the schemas of the topics' newest records, or, if there are no
 * records, by the latest ones of the topics' subjects. For columns that are mapped, and where no schema says what there
 * is, it also makes rows of these records.
 *
 * @throws Error if the topics cannot be read
 * @throws RegistryError if the registry does not answer
 * @throws SchemaError if what it has is no schema
 */
export async function sampleSchemas(
  parts: SampledParts,
  { pipeline: { settings }, topics }: TableOfTopics,
  count: number,
): Promise<Sample> {
  const records = topics.length === 0 ? [] : await newestRecords(parts, topics, count);
  return schemaSample(parts.registry, records, { topics, destination: settings.destination }, count);
}

/** What a registry is asked for. */
type Schemas = Pick<SchemaRegistry, 'schema' | 'latest'>;

/** What goes to a table. */
interface SampledTable {
  /** Topics whose latest schemas count if there are no records. None if they have records for other tables, too. */
  readonly topics: readonly string[];
  readonly destination: Destination;
}

/**
 * The sample of records that go to a table.
 *
 * @throws RegistryError
 * @throws SchemaError
 */
export async function schemaSample(
  registry: Schemas | null,
  own: readonly SourcedRecord[],
  { topics, destination }: SampledTable,
  count: number,
): Promise<Sample> {
  const { mapping } = destination;
  const decoders = registry === null ? undefined : new Decoders(registry);
  const decoder = await prepareDecoding(own, mapping, decoders);
  const values = own.flatMap(({ record: { value } }) => value ?? []);
  const found =
    registry === null || !isDecoded(mapping.format) ? NOTHING : await columnsOf(registry, topics, values, mapping);
  const isWhole = found.types.size > 0 && Object.keys(destination.columns).length === 0;
  const rows = isWhole ? [] : decodedRows(own, destination, count, decoder);
  const key = mapping.envelope === undefined ? null : await keyNames(registry, topics, own, mapping);
  const from = topics.length === 0 ? 'a topic that matches' : `topic ${topics.join(', ')}`;
  const nothing = `There is no schema of ${mapping.format} for ${from}`;
  return { ...found, rows, key, ...(isDecoded(mapping.format) ? { nothing } : {}) };
}

/** The last records of each partition, so many together, the newest last. */
async function newestRecords(
  { kafka, admin }: SampledParts,
  topics: readonly string[],
  count: number,
): Promise<SourcedRecord[]> {
  const ranges = await rangesOf(admin, topics);
  const ofEach = Math.max(1, Math.ceil(count / ranges.length));
  const last = ranges.map((range) => ({ ...range, from: Math.max(range.from, range.to - ofEach) }));
  const records: SourcedRecord[] = [];
  const untilMs = performance.now() + SAMPLE_WAIT_MS;
  await readRanges(kafka, admin, last, {
    record: (record, { topic, partition }) => {
      records.push({ source: { topic, partition, epoch: '' }, record });
      return performance.now() >= untilMs;
    },
    passedOver: tellPassedOver,
  });
  return records.sort((a, b) => a.record.timestampMs - b.record.timestampMs);
}

/** What says how values, or keys, are decoded. */
type Formats = Pick<Mapping, 'format' | 'avro' | 'protobuf'>;

type FoundColumns = Required<Pick<Sample, 'types' | 'misfits'>> & Pick<Sample, 'schemas'>;

const NOTHING: FoundColumns = { types: new Map(), misfits: [] };

async function columnsOf(
  registry: Schemas,
  topics: readonly string[],
  values: readonly Buffer[],
  mapping: Mapping,
): Promise<FoundColumns> {
  const columns: ColumnTypes[] = [];
  const names: string[] = [];
  for await (const { name, field } of schemasOf(registry, topics, values, mapping, 'value')) {
    const ofSchema = columnsOfField(field, mapping.envelope !== undefined);
    if (ofSchema.size === 0) continue;
    columns.push(ofSchema);
    names.push(name);
  }
  if (columns.length === 0) return NOTHING;
  const { types, misfits } = mergeColumns(columns);
  return {
    types,
    misfits: [...misfits.values()],
    schemas: `the schema${names.length === 1 ? '' : 's'} ${names.join(', ')}`,
  };
}

/** The schemas that bytes were written with, the newest first. Without any, the latest ones of the topics. */
async function* schemasOf(
  registry: Schemas,
  topics: readonly string[],
  values: readonly Buffer[],
  mapping: Formats,
  part: 'key' | 'value',
): AsyncGenerator<{ readonly name: string; readonly field: FieldType }, void, undefined> {
  let isAny = false;
  for (const { id, indexes } of writtenWith(values, mapping.format === 'protobuf')) {
    const field = fieldOf(await registry.schema(id), mapping, indexes);
    if (field === null) continue;
    isAny = true;
    yield { name: String(id), field };
  }
  if (isAny) return;
  for (const topic of topics) {
    const subject = `${topic}-${part}`;
    const field = fieldOf(await registry.latest(subject), mapping, []);
    if (field !== null) yield { name: `of subject ${subject}`, field };
  }
}

/** Null if there is no schema of this format. @throws SchemaError */
function fieldOf(registered: RegisteredSchema | null, mapping: Formats, indexes: readonly number[]): FieldType | null {
  if (registered === null) return null;
  const choices = choicesOf(mapping);
  if (choices === undefined)
    return mapping.format === 'json-schema' && registered.type === 'JSON' ? jsonSchemaField(registered.schema) : null;
  if (registered.type !== choices.format.toUpperCase()) return null;
  return fieldOfSchema(parseRegistered(registered, choices.format), choices, indexes);
}

function decodedRows(
  records: readonly SourcedRecord[],
  destination: Destination,
  count: number,
  decoder: (() => RecordDecoder) | undefined,
): string[] {
  const { rows, add } = rowMaker(destination, count, decoder);
  for (const { source, record } of records) add(source, record);
  return textsOf(rows);
}

/** The names of the fields of keys that Debezium has written, with a schema or as JSON. */
async function keyNames(
  registry: Schemas | null,
  topics: readonly string[],
  records: readonly SourcedRecord[],
  mapping: Mapping,
): Promise<readonly string[] | null> {
  const format = mapping.key?.format ?? mapping.format;
  const keys = records.flatMap(({ record: { key } }) => key ?? []);
  if (registry !== null) {
    for await (const { field } of schemasOf(registry, topics, keys, { format }, 'key')) {
      const names = [...columnsOfField(field, false).keys()];
      if (names.length > 0) return names;
    }
  }
  const open = format === 'json-schema' ? await keyOpener() : undefined;
  for (const { source, record } of records.toReversed()) {
    const opened = open?.(source, record) ?? record;
    const names = keyColumns('code' in opened ? record : opened);
    if (names !== null) return names;
  }
  return null;
}

/** Takes off what a serializer with a schema registry writes before a key of JSON. */
async function keyOpener(): Promise<RecordDecoder | undefined> {
  const prepared = await prepareDecoding([], { format: 'bytes', key: { format: 'json-schema' } }, undefined);
  return prepared?.();
}
