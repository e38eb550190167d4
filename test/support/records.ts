import fc from 'fast-check';
import { NULL_LENGTH, PackedRecord } from '../../src/protocol/packedRecord.js';
import { NO_HEADERS, type KafkaRecord, type RecordHeader } from '../../src/protocol/record.js';

/** A record of an offset, with a small JSON value unless told otherwise. */
export function record(offset: number, overrides: Partial<KafkaRecord> = {}): KafkaRecord {
  return {
    offset,
    timestampMs: 1_760_000_000_000 + offset,
    key: Buffer.from(`key-${offset % 7}`),
    value: Buffer.from(JSON.stringify({ id: offset })),
    headers: NO_HEADERS,
    ...overrides,
  };
}

/** A record as our decoder makes it of fetched bytes. */
export function fetchedRecord(
  offset: number,
  timestampMs: number,
  key: Buffer | null,
  value: Buffer | null,
  headers: readonly RecordHeader[] = NO_HEADERS,
): PackedRecord {
  return amongOthers({ offset, timestampMs, key, value, headers });
}

/** The same fields as a plain object: a decoded record reads its key and value from columns. */
export function plain({ offset, timestampMs, key, value, headers, tooLargeBytes }: KafkaRecord) {
  return { offset, timestampMs, key, value, headers, tooLargeBytes };
}

/** The same record in larger buffers, between bytes that would complete a value which is cut off. */
export function amongOthers({ offset, timestampMs, key, value, headers, tooLargeBytes }: KafkaRecord): PackedRecord {
  const before = Buffer.from('{"before":');
  const within = (bytes: Buffer | null) => Buffer.concat([before, bytes ?? Buffer.alloc(0), Buffer.from('}"}]')]);
  const lengthOf = (bytes: Buffer | null) => bytes?.length ?? NULL_LENGTH;
  const keyPlace = [within(key), before.length, lengthOf(key)] as const;
  const valuePlace = [within(value), before.length, lengthOf(value)] as const;
  return new PackedRecord(offset, timestampMs, ...keyPlace, ...valuePlace, headers, tooLargeBytes);
}

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const nullableBytes = fc.option(bytes, { nil: null });

/** Whatever a producer may write, nanoseconds for instance; -1 is none. */
export const anyTimestampMs: fc.Arbitrary<number> = fc.oneof(
  fc.constant(-1),
  fc.integer({ min: 0, max: 2 ** 45 }),
  fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(Number),
);

/** Records of one partition: ascending offsets with gaps, any bytes, nulls, repeated headers, stubs. */
export const anyRecords: fc.Arbitrary<KafkaRecord[]> = fc
  .array(
    fc.record({
      gap: fc.integer({ min: 1, max: 1_000 }),
      timestampMs: anyTimestampMs,
      key: nullableBytes,
      value: nullableBytes,
      headers: fc.array(fc.tuple(fc.oneof(fc.string(), fc.constant('__proto__')), nullableBytes), { maxLength: 3 }),
      tooLargeBytes: fc.option(fc.integer({ min: 1 }), { nil: undefined, freq: 20 }),
    }),
    { maxLength: 30 },
  )
  .map((list) => {
    let offset = -1;
    return list.map(({ gap, tooLargeBytes, ...rest }) => {
      offset += gap;
      return { ...rest, offset, ...(tooLargeBytes === undefined ? {} : { tooLargeBytes }) };
    });
  });
