import { InsertError, type ClickHouseTables } from '../../src/activities/clickhouse.js';
import type { RecordSource } from '../../src/records/record.js';

/** What a fake insert does: as the real one, or with a failure before or after the rows are there. */
export type Fault = 'none' | 'lostBefore' | 'lostAfter' | 'viewFails';

interface Row {
  readonly _topic: string;
  readonly _partition: number;
  readonly _epoch: string;
  readonly _offset: number;
  readonly bad?: boolean;
}

/**
 * A table in memory that behaves as ClickHouse does: all rows of an insert or none, a token drops what comes again under
 * it (as long as its window remembers), a failing view leaves the rows behind.
 */
export class FakeTable {
  readonly rows: Row[] = [];
  /** Faults of the next inserts; none when it is empty. */
  faults: Fault[] = [];
  /** False: the deduplication window has forgotten everything. */
  remembersTokens = true;
  readonly #tokens = new Map<string, string>();

  readonly tables: Pick<ClickHouseTables, 'columns' | 'forget' | 'insert' | 'foundOffsets'> = {
    columns: () => Promise.resolve(COLUMNS),
    forget: () => undefined,
    foundOffsets: (_table, source, from, to) => Promise.resolve(new Set(this.#found(source, from, to))),
    insert: (_table, _columns, lines, token) => {
      const text = Buffer.concat([...lines]).toString();
      this.#insert(
        text
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line) as Row),
        token,
        text,
      );
      return Promise.resolve();
    },
  };

  #insert(rows: Row[], token: string, text: string): void {
    const fault = this.faults.shift() ?? 'none';
    if (fault === 'lostBefore') throw new InsertError('transient', 'ECONNRESET', 'lost before', undefined);
    if (rows.some(({ bad }) => bad)) throw new InsertError('data', '27', 'a bad row', undefined);
    const known = this.#tokens.get(token);
    if (known !== undefined && known !== text) throw new Error('one token was used for different rows');
    if (known === undefined || !this.remembersTokens) this.rows.push(...rows);
    this.#tokens.set(token, text);
    if (fault === 'lostAfter') throw new InsertError('transient', 'ECONNRESET', 'lost after', undefined);
    if (fault === 'viewFails') throw new InsertError('data', '6', 'a view refuses', undefined);
  }

  #found({ topic, partition, epoch }: RecordSource, from: number, to: number): number[] {
    return this.rows
      .filter((row) => row._topic === topic && row._partition === partition && row._epoch === epoch)
      .map(({ _offset }) => _offset)
      .filter((offset) => offset >= from && offset <= to);
  }
}

const COLUMNS = new Map(['_topic', '_partition', '_offset', '_epoch', 'bad'].map((name) => [name, 'String']));
