/*
 * Before rows are made of records they are opened: values and keys become JSON, and values come out of their envelopes.
 */
import { isRejectedKey, rejectedKey, type RecordDecoder } from '../formats/recordDecoder.js';
import { LEFT_OUT, type Rejection } from '../protocol/ack.js';
import { isStub, type KafkaRecord, type RecordSource, type SourcedRecord } from '../protocol/record.js';
import type { Mapping } from '../protocol/settings.js';
import type { ManyRows, WrittenRows } from './manyRows.js';
import type { RowBlocks } from './rowBlocks.js';
import { DebeziumEnvelopes } from './rows/debeziumEnvelope.js';
import { JsonKeys } from './rows/jsonKeys.js';
import type { RowBuilder } from './rows/rowBuilder.js';

/**
 * Makes of a record what rows are made of: its value and its key are JSON, and the value is out of its envelope. Undefined
 * if all records are so already.
 */
export function opener(
  { envelope, key }: Pick<Mapping, 'envelope' | 'key'>,
  decoder: (() => RecordDecoder) | undefined,
): RecordDecoder | undefined {
  const keys = key === undefined ? undefined : new JsonKeys(envelope !== undefined);
  const envelopes = envelope === undefined ? undefined : new DebeziumEnvelopes(envelope);
  const steps: RecordDecoder[] = [
    ...(decoder === undefined ? [] : [decoder()]),
    ...(keys === undefined
      ? []
      : [
          (source: RecordSource, record: KafkaRecord) => {
            const opened = keys.open(source, record);
            return 'code' in opened ? rejectedKey(opened, record) : opened;
          },
        ]),
    ...(envelopes === undefined ? [] : [(source: RecordSource, record: KafkaRecord) => envelopes.open(source, record)]),
  ];
  if (steps.length === 0) return undefined;
  return (source, record) => {
    let opened = record;
    let key: Rejection | undefined;
    for (const step of steps) {
      const next = step(source, opened);
      if (!('code' in next)) {
        opened = next;
      } else if (isRejectedKey(next)) {
        // A change that the pipeline skips is skipped, whatever its key is.
        key = next;
        opened = next.withoutKey;
      } else {
        return next.code === LEFT_OUT ? next : (key ?? next);
      }
    }
    return key === undefined ? opened : { ...rejectionOf(key), withoutKey: opened };
  };
}

/**
 * Writes the rows of records that are not opened yet.
 *
 * @param open undefined: they need no opening
 * @param mayLeaveOut whether rules of the pipeline may leave a record out. They come before a key that cannot be read
 */
export function openingBuilder(
  buildRow: RowBuilder,
  open: RecordDecoder | undefined,
  mayLeaveOut: boolean,
): RowBuilder {
  if (open === undefined) return buildRow;
  return (into, source, record) => {
    // What becomes of a stub does not depend on its value.
    const opened = isStub(record) ? record : open(source, record);
    if (!('code' in opened)) return buildRow(into, source, opened);
    if (!mayLeaveOut || !isRejectedKey(opened)) return rejectionOf(opened);
    const rejection = buildRow(into, source, opened.withoutKey);
    if (rejection === undefined) into.dropRow();
    return rejection?.code === LEFT_OUT ? rejection : rejectionOf(opened);
  };
}

/** Without the record: a rejection is kept for longer. */
function rejectionOf({ code, message }: Rejection): Rejection {
  return { code, message };
}

/** Writes the rows of a record that may hold many. If its key cannot be read, it is rejected, and its rows are numbered all the same. */
export function writeMany(
  many: ManyRows,
  into: RowBlocks,
  { source, record }: SourcedRecord,
  open: RecordDecoder | undefined,
): Promise<WrittenRows> {
  const opened = open === undefined || isStub(record) ? record : open(source, record);
  if (!('code' in opened)) return many.write(into, source, opened);
  const withoutKey = isRejectedKey(opened) ? opened.withoutKey : record;
  return many.write(into, source, withoutKey, rejectionOf(opened));
}
