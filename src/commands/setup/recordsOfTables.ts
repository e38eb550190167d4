/*
 * The records from which the missing tables of a pipeline are proposed whose records go to tables by a value. A topic is read
 * once for all of them, from its end: the first records of a new table are the last ones of the topic.
 */
import { leftOutTest, type LeftOutTest } from '../../clickhouse/leftOutRecords.js';
import { divideByValue } from '../../clickhouse/tablesByValue.js';
import { Decoders } from '../../formats/decoders.js';
import { rangesOf, readRanges, type PartitionRange } from '../../kafka/readRanges.js';
import type { SourcedRecord } from '../../protocol/record.js';
import { isSkipped, type Destination, type TablesOfValues } from '../../protocol/settings.js';
import { tellPassedOver } from '../shared/passedOver.js';
import { SAMPLE_WAIT_MS, type SampledParts } from './sample.js';

/** What was found in the newest records of some topics. */
export interface RecordsOfTables {
  /** How many records were read. */
  readonly read: number;
  /** The records of a table, the newest last. Empty if none was found. */
  of(table: string): readonly SourcedRecord[];
}

/** So many of the newest records are read, and then so many before them, if tables lack records. Together for all topics. */
const WINDOWS = [5_000, 100_000];

/** Records that are divided together. */
const DIVIDED_TOGETHER = 1_000;

/**
 * Reads the newest records of some topics, and divides them among tables. It stops when each table has enough, and after
 * some seconds.
 *
 * @param tables those that are missing
 * @param count records of each table, at most
 * @throws Error if the topics cannot be read
 * @throws InsertError if schemas are needed that the registry does not tell
 */
export async function readRecordsOfTables(
  { kafka, admin, registry }: SampledParts,
  topics: readonly string[],
  destination: Pick<Destination, 'mapping'> & { readonly tablesOfValues: TablesOfValues },
  tables: readonly string[],
  count: number,
): Promise<RecordsOfTables> {
  const decoders = registry === null ? undefined : new Decoders(registry);
  const divided = new DividedSample(destination, decoders, tables, count);
  const ranges = topics.length === 0 ? [] : await rangesOf(admin, topics);
  let leftMs = SAMPLE_WAIT_MS;
  for (const window of newestFirst(ranges, WINDOWS)) {
    let untilMs = Infinity;
    await readRanges(kafka, admin, window, {
      record: async (record, { topic, partition }) => {
        // To begin takes seconds, which do not count.
        if (untilMs === Infinity) untilMs = performance.now() + leftMs;
        await divided.add({ source: { topic, partition, epoch: '' }, record });
        return divided.isFull || performance.now() >= untilMs;
      },
      passedOver: tellPassedOver,
    });
    await divided.divide();
    if (untilMs !== Infinity) leftMs = untilMs - performance.now();
    if (divided.isFull || leftMs <= 0) break;
  }
  return divided;
}

/** The newest records of all partitions, then those before them. Pure. */
export function newestFirst(
  ranges: readonly PartitionRange[],
  windows: readonly number[],
): readonly (readonly PartitionRange[])[] {
  let left = ranges;
  return windows.map((records) => {
    const shares = sharesOf(
      left.map(({ from, to }) => to - from),
      records,
    );
    const window = left.map((range, index) => ({ ...range, from: range.to - (shares[index] ?? 0) }));
    left = left.map((range, index) => ({ ...range, to: window[index]?.from ?? range.from }));
    return window.filter(({ from, to }) => from < to);
  });
}

/** Divides a number among partitions with so many records. What short ones leave over goes to the others. */
function sharesOf(sizes: readonly number[], records: number): readonly number[] {
  const shares = sizes.map(() => 0);
  let left = records;
  const shortestFirst = [...sizes.entries()].sort(([, one], [, other]) => one - other);
  for (const [place, [partition, size]] of shortestFirst.entries()) {
    const share = Math.min(size, Math.ceil(left / (sizes.length - place)));
    shares[partition] = share;
    left -= share;
  }
  return shares;
}

/** Divides records among tables, and keeps the newest of each that the pipeline does not leave out. */
export class DividedSample implements RecordsOfTables {
  readonly #destination: Pick<Destination, 'mapping'> & { readonly tablesOfValues: TablesOfValues };
  readonly #decoders: Decoders | undefined;
  readonly #count: number;
  readonly #ofTables: ReadonlyMap<string, SourcedRecord[]>;
  #undivided: SourcedRecord[] = [];
  #isLeftOut: LeftOutTest | undefined;
  read = 0;
  /** Whether each table has enough records, of those that are divided. */
  isFull = false;

  constructor(
    destination: Pick<Destination, 'mapping'> & { readonly tablesOfValues: TablesOfValues },
    decoders: Decoders | undefined,
    tables: readonly string[],
    count: number,
  ) {
    this.#destination = destination;
    this.#decoders = decoders;
    this.#count = count;
    this.#ofTables = new Map(tables.map((table) => [table, []]));
  }

  /** @throws InsertError */
  async add(item: SourcedRecord): Promise<void> {
    this.read++;
    if (!isSkipped(item.record, this.#destination)) this.#undivided.push(item);
    if (this.#undivided.length >= DIVIDED_TOGETHER) await this.divide();
  }

  /**
   * Divides what was added last.
   *
   * @throws InsertError
   * @throws RegistryError
   */
  async divide(): Promise<void> {
    const { mapping, tablesOfValues } = this.#destination;
    const records = this.#undivided;
    this.#undivided = [];
    const { ofTables } = await divideByValue(records, tablesOfValues, { mapping, decoders: this.#decoders });
    for (const [table, own] of ofTables) {
      const kept = this.#ofTables.get(table);
      if (kept === undefined) continue;
      for (const item of own) if (!(await this.#leavesOut(item))) kept.push(item);
      kept.sort((a, b) => a.record.timestampMs - b.record.timestampMs);
      kept.splice(0, kept.length - this.#count);
    }
    this.isFull = [...this.#ofTables.values()].every((kept) => kept.length >= this.#count);
  }

  async #leavesOut(item: SourcedRecord): Promise<boolean> {
    const { mapping } = this.#destination;
    if (mapping.where === undefined) return false;
    this.#isLeftOut ??= await leftOutTest({ mapping }, this.#decoders);
    return this.#isLeftOut(item);
  }

  of(table: string): readonly SourcedRecord[] {
    return this.#ofTables.get(table) ?? [];
  }
}
