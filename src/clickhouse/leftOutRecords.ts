import type { Decoders } from '../formats/decoders.js';
import { choicesOf, prepareDecoding, type RecordDecoder } from '../formats/recordDecoder.js';
import { LEFT_OUT, type Rejection } from '../protocol/ack.js';
import { isStub, type SourcedRecord } from '../protocol/record.js';
import { hasManyRows, type Destination, type Mapping } from '../protocol/settings.js';
import { ManyRows } from './manyRows.js';
import { opener, openingBuilder, writeMany } from './openedRecords.js';
import { RowBlocks } from './rowBlocks.js';
import { createRowBuilder } from './rows/rowBuilder.js';
import { TableFinder } from './rows/tableFinder.js';

/** Tells whether a pipeline leaves a record out: by its rules, because it has no rows, or because its value names no table. */
export type LeftOutTest = (item: SourcedRecord) => boolean | Promise<boolean>;

/**
 * Makes the test of a pipeline, for those who read its records one by one and not its tables. It makes rows as the inserts
 * do, for a table without columns.
 *
 * @param decoders undefined if there is no registry. What is made rejects with RegistryError if one is needed and does not
 *   answer
 */
export async function leftOutTest(
  { mapping, tablesOfValues }: Pick<Destination, 'mapping' | 'tablesOfValues'>,
  decoders: Decoders | undefined,
): Promise<LeftOutTest> {
  const whyNoRow = rowTest(mapping);
  const finder = tablesOfValues?.otherwise === 'skip' ? new TableFinder(tablesOfValues, mapping) : undefined;
  const namesNoTable = ({ source, record }: SourcedRecord, open: RecordDecoder | undefined): boolean => {
    if (finder === undefined || isStub(record)) return false;
    const opened = open === undefined ? record : open(source, record);
    return !('code' in opened) && finder.of(opened) === null;
  };
  const judge = (item: SourcedRecord, open: RecordDecoder | undefined): boolean | Promise<boolean> => {
    const decide = (why: Rejection | undefined): boolean =>
      why === undefined ? namesNoTable(item, open) : why.code === LEFT_OUT;
    const why = whyNoRow(item, open);
    return why instanceof Promise ? why.then(decide) : decide(why);
  };
  const { key, ...values } = mapping;
  const hasSchemas = [values, key].some((part) => part !== undefined && choicesOf(part) !== undefined);
  if (!hasSchemas) {
    const open = opener(mapping, await prepareDecoding([], mapping, undefined));
    return (item) => judge(item, open);
  }
  return async (item) => judge(item, opener(mapping, await prepareDecoding([item], mapping, decoders)));
}

/** Says why a record becomes no row. Undefined: it becomes one, or several. */
type RowTest = (
  item: SourcedRecord,
  open: RecordDecoder | undefined,
) => Rejection | undefined | Promise<Rejection | undefined>;

function rowTest(mapping: Mapping): RowTest {
  const { format, where } = mapping;
  const buildRow = createRowBuilder(new Map(), {}, { ...mapping, unknownFields: 'ignore' });
  const lines = new RowBlocks();
  if (hasManyRows(format)) {
    const many = new ManyRows(format, buildRow, { keptBytesMax: 0, mayLeaveOut: where !== undefined });
    return async (item, open) => (await writeMany(many, lines, item, open)).rejection;
  }
  return ({ source, record }, open) => {
    const rejection = openingBuilder(buildRow, open, where !== undefined)(lines, source, record);
    if (rejection === undefined) lines.dropRow();
    return rejection;
  };
}
