/** What a record is: one that the table takes, one that it refuses, or one that is no JSON. */
export type Kind = 'good' | 'refused' | 'noJson';

/** Something was promised and does not hold. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

interface Produced {
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly kind: Kind;
}

interface Inserted {
  readonly offset: number;
  readonly batch: string;
}

interface FirstAck extends Inserted {
  readonly id: string;
  readonly partition: number;
  readonly key: string;
}

/** An acknowledgement. */
export interface Acknowledged {
  readonly partition: number;
  readonly offset: number;
  readonly status: string;
  readonly batch: string;
  readonly code?: string;
}

const REFUSED = 'refused_by_clickhouse';

/**
 * Judges what comes out by what was put in: what was written into the logs, what the table got, what was published, what
 * the group has committed. It knows nothing of how records get from one to the other, and shares no code with that.
 */
export class Checker {
  readonly #produced = new Map<string, Produced>();
  readonly #logs: string[][];
  /** By id, the epochs of its rows. */
  readonly #rows = new Map<string, Set<string>>();
  readonly #letters = new Set<string>();
  readonly #acks = new Map<string, { readonly status: string; count: number }>();
  /** First acknowledgements of records with a row, in the order in which they came. */
  readonly #firstAcks: FirstAck[] = [];
  /** Batches of which ClickHouse has refused a row: then others of it come out of order. */
  readonly #refusedBatches = new Set<string>();
  readonly #accepted: Set<number>[];
  readonly #committed: number[];
  /** By partition, from where on it was read again because a person wanted so, and how much was committed then. */
  readonly #resets: { readonly to: number; readonly before: number }[][];
  /** By partition, what may have been on its way when the group's offsets were lost. So it may come twice. */
  readonly #onItsWay: Set<number>[];
  readonly #rewinds: number[];
  readonly #isFilled: boolean[];
  /** By partition and key, what was inserted last. */
  readonly #last = new Map<string, Inserted>();

  constructor(partitions: number) {
    const each = <T>(make: () => T): T[] => Array.from({ length: partitions }, make);
    this.#logs = each(() => []);
    this.#accepted = each(() => new Set());
    this.#committed = each(() => 0);
    this.#resets = each(() => []);
    this.#onItsWay = each(() => new Set());
    this.#rewinds = each(() => 0);
    this.#isFilled = each(() => false);
  }

  get records(): number {
    return this.#produced.size;
  }

  produced(id: string, record: Produced): void {
    this.#produced.set(id, record);
    this.#logs[record.partition]!.push(id);
  }

  /** A batcher's history has got a record. */
  accepted(partition: number, offset: number): void {
    this.#accepted[partition]!.add(offset);
  }

  committed(partition: number, offset: number): void {
    for (let at = this.#committed[partition]!; at < offset; at++)
      if (!this.#accepted[partition]!.has(at))
        throw new Violation(
          `offset ${offset} of partition ${partition} is committed, and nobody has record ${this.#logs[partition]![at]}`,
        );
    this.#committed[partition] = offset;
  }

  /** A person sets the group's offset, so that records are read again, and get another row. */
  reset(partition: number, to: number): void {
    this.#resets[partition]!.push({ to, before: this.#committed[partition]! });
    this.#rewound(partition, to);
  }

  /** The group's offset is set back, to insert what the table lacks. So one row of a record is enough from now on. */
  filled(partition: number, to: number): void {
    this.#isFilled[partition] = true;
    this.#rewound(partition, to);
  }

  /** Kafka forgets what the group has committed. */
  offsetsLost(): void {
    for (const [partition, log] of this.#logs.entries())
      for (const offset of log.keys())
        if (!this.#accepted[partition]!.has(offset)) this.#onItsWay[partition]!.add(offset);
  }

  /** The group's offset is set back. All after it has to be accepted again, and has no order with what was before. */
  #rewound(partition: number, to: number): void {
    this.#committed[partition] = to;
    this.#rewinds[partition]!++;
    for (const offset of this.#accepted[partition]!) if (offset >= to) this.#accepted[partition]!.delete(offset);
  }

  /** Whether a person has had anything read again. */
  get hasRewound(): boolean {
    return this.#rewinds.some((times) => times > 0);
  }

  /** @param mayBeShuffled a row of its batch was refused, so others of it may come out of order */
  inserted(
    row: { id: string; epoch: string; partition: number; offset: number },
    batch: string,
    mayBeShuffled: boolean,
  ): void {
    const { id, epoch } = row;
    const record = this.#record(id);
    if (record.partition !== row.partition || record.offset !== row.offset)
      throw new Violation(`the row of ${id} has the place ${row.partition}/${row.offset} of another record`);
    if (record.kind !== 'good') throw new Violation(`${id} is no good, and has a row`);
    const epochs = this.#rows.get(id) ?? new Set();
    if (epochs.has(epoch)) throw new Violation(`${id} has a second row`);
    epochs.add(epoch);
    this.#rows.set(id, epochs);
    if (epochs.size > this.#wanted(record).most)
      throw new Violation(`${id} has ${epochs.size} rows, though nobody wanted it to be read again so often`);
    if (this.#letters.has(id)) throw new Violation(`${id} is a dead letter, and gets a row`);
    this.#keepsOrder(id, record, batch, mayBeShuffled);
  }

  #keepsOrder(id: string, record: Produced, batch: string, mayBeShuffled: boolean): void {
    // What a rewind brings has no order with what was there.
    if (this.#rewinds[record.partition]! > 0) return;
    const name = `${record.partition}/${record.key}`;
    const last = this.#last.get(name);
    if (last !== undefined && last.offset > record.offset && !(mayBeShuffled && last.batch === batch))
      throw new Violation(
        `${id} is inserted after ${this.#logs[record.partition]![last.offset]}, which has the same key and comes later`,
      );
    this.#last.set(name, { offset: Math.max(record.offset, last?.offset ?? -1), batch });
  }

  letter(id: string): void {
    const { kind } = this.#record(id);
    if (kind === 'good') throw new Violation(`${id} is good, and becomes a dead letter`);
    this.#letters.add(id);
  }

  acknowledged({ partition, offset, status, batch, code }: Acknowledged): void {
    const id = this.#logs[partition]?.[offset];
    if (id === undefined) throw new Violation(`${partition}/${offset} is acknowledged, and there is no such record`);
    const before = this.#acks.get(id);
    if (before !== undefined && before.status !== status)
      throw new Violation(`${id} was ${before.status}, and now is ${status}`);
    this.#acks.set(id, { status, count: (before?.count ?? 0) + 1 });
    if (code === REFUSED) this.#refusedBatches.add(batch);
    if (before === undefined && status === 'inserted' && this.#rewinds[partition] === 0)
      this.#firstAcks.push({ id, partition, offset, key: this.#record(id).key, batch });
    if (status === 'inserted' && !this.#rows.has(id)) throw new Violation(`${id} is acknowledged, and has no row`);
    if (status === 'rejected' && !this.#letters.has(id))
      throw new Violation(`${id} is acknowledged as rejected, and is no dead letter`);
  }

  /** What is still to come. Null if nothing is. */
  missing(): string | null {
    for (const [id, record] of this.#produced) {
      if (!this.#acks.has(id)) return `${id} has no answer`;
      const rows = this.#rows.get(id)?.size ?? 0;
      const { least } = this.#wanted(record);
      if (record.kind === 'good' && rows < least) return `${id} has ${rows} rows`;
      const answers = this.#acks.get(id)?.count ?? 0;
      if (answers < least) return `${id} has ${answers} answers, and was read ${least} times`;
    }
    for (const [partition, log] of this.#logs.entries())
      if (this.#committed[partition]! < log.length)
        return `partition ${partition} is committed up to ${this.#committed[partition]} of ${log.length}`;
    return null;
  }

  /** Records of a key are acknowledged in their order. To be asked at the end, when all refused batches are known. */
  answersKeepOrder(): void {
    const last = new Map<string, FirstAck>();
    for (const ack of this.#firstAcks) {
      const name = `${ack.partition}/${ack.key}`;
      const before = last.get(name);
      const mayBeShuffled = before?.batch === ack.batch && this.#refusedBatches.has(ack.batch);
      if (before !== undefined && before.offset > ack.offset && !mayBeShuffled)
        throw new Violation(`${ack.id} is acknowledged after ${before.id}, which has the same key and comes later`);
      if (before === undefined || before.offset < ack.offset) last.set(name, ack);
    }
  }

  /** How many rows a record has, at least and at most. */
  #wanted({ partition, offset }: Produced): { readonly least: number; readonly most: number } {
    const covering = this.#resets[partition]!.filter(({ to }) => to <= offset);
    // What was not committed before may not have been read before.
    const surely = covering.filter(({ before }) => offset < before);
    const late = this.#onItsWay[partition]!.has(offset) ? 1 : 0;
    return { least: this.#isFilled[partition] ? 1 : 1 + surely.length, most: 1 + covering.length + late };
  }

  #record(id: string): Produced {
    const record = this.#produced.get(id);
    if (record === undefined) throw new Violation(`${id} was never produced`);
    return record;
  }
}
