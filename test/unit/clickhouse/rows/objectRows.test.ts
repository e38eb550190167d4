import { expect, it } from 'vitest';
import { RowBlocks } from '../../../../src/clickhouse/rowBlocks.js';
import type { Field } from '../../../../src/clickhouse/rows/knownFields.js';
import { IgnoredFields } from '../../../../src/clickhouse/rows/ignoredFields.js';
import { LeadingFields } from '../../../../src/clickhouse/rows/leadingFields.js';
import { NestedFields } from '../../../../src/clickhouse/rows/nestedFields.js';
import { ObjectRows } from '../../../../src/clickhouse/rows/objectRows.js';
import { RecordValue } from '../../../../src/clickhouse/rows/recordValue.js';
import { UnknownMembers } from '../../../../src/clickhouse/rows/unknownMembers.js';
import { JsonObject } from '../../../../src/clickhouse/values/jsonBytesReader.js';
import { record } from '../../../support/records.js';

class CountedFields extends Map<string, Field> {
  gets = 0;

  override get(name: string): Field | undefined {
    this.gets++;
    return super.get(name);
  }
}

it('keeps what names mean for a thousand members of a value, however many it has', () => {
  const fields = new CountedFields();
  const value = new RecordValue();
  const object = new JsonObject();
  const ignored = new IgnoredFields();
  const members = new UnknownMembers('ignore', ignored);
  const leading = new LeadingFields(new Map([['id', 'Int64']]), {}, object, { format: 'json' }, members);
  const nested = new NestedFields(fields, [], false, members);
  const rows = new ObjectRows({
    ...{ value, object, fields, leading, nested, rejectsUnknown: false },
    ...{ rules: undefined, members, ignored, newFields: undefined, unknown: undefined },
  });
  const texts = Array.from({ length: 1_500 }, (_, index) => `"n${index}":1`);
  const one = record(1, { value: Buffer.from(`{${texts.join()}}`) });
  const write = () => {
    const into = new RowBlocks();
    fields.gets = 0;
    value.set(one);
    expect(rows.writeRow(into, { topic: 'orders', partition: 3, epoch: 'e1' }, one)).toBeUndefined();
    return fields.gets;
  };
  expect([write(), write()]).toEqual([1_500, 500]);
});
