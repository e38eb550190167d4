import { fromLatin1, latin1 } from '../../lib/latin1.js';
import { IDENTITY_TYPES } from '../identityColumns.js';

/** Bytes of the name of a column that is added, at most. ClickHouse names files after columns. */
const NAME_BYTES_MAX = 200;

/** Columns that each table of ClickHouse has, and that a column of that name would hide. */
const VIRTUAL_COLUMNS =
  /^_(?:block_number|block_offset|database|disk_name|distance|part|part_data_version|part_granule_offset|part_index|part_offset|part_starting_offset|part_uuid|partition_id|partition_value|row_exists|sample_factor|shard_num|table|table_name)$/;

/** The names of a table's columns, and of those that are added to it. */
export class ColumnNames {
  /** By their lower case. */
  readonly #names = new Map<string, string>();

  constructor(names: Iterable<string>) {
    for (const name of names) this.#names.set(name.toLowerCase(), name);
  }

  add(name: string): void {
    this.#names.set(name.toLowerCase(), name);
  }

  /**
   * Says why a field gets no column, whatever its value. Undefined if it may get one.
   *
   * @param bytes the name, one character per byte
   */
  whyNot(bytes: string): string | undefined {
    if (bytes === '') return 'it has no name';
    if (bytes.length > NAME_BYTES_MAX) return `its name has more than ${NAME_BYTES_MAX} bytes`;
    const name = fromLatin1(bytes);
    if (latin1(name) !== bytes) return 'its name is no UTF-8';
    if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name)) return 'its name has control characters';
    if (name.includes('.')) return 'its name has a dot, as if it were within another column';
    if (Object.hasOwn(IDENTITY_TYPES, name)) return 'its name is that of an identity column';
    if (VIRTUAL_COLUMNS.test(name)) return 'its name is that of a virtual column';
    const taken = this.#names.get(name.toLowerCase());
    if (taken === undefined) return undefined;
    return taken === name
      ? 'the column of its name takes something else'
      : `its name differs from the column ${taken} in upper and lower case only`;
  }
}
