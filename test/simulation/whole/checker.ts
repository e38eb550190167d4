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

/** A record, and what has become of it. */
interface Judged extends Produced {
  readonly id: string;
  /** In which order the records were written. Offsets do not tell, if a log was cut. */
  readonly order: number;
  /** The epochs of its rows. */
  readonly epochs: Set<string>;
  isLetter: boolean;
  status: string | null;
  answers: number;
  /** A batcher's history has got it, since it was to be read last. */
  isAccepted: boolean;
  /** Temporal has it, or has had it until it had its answer. */
  isInTemporal: boolean;
  /** Its log was cut before it. `owed`: batchers had it already, so it is due all the same. */
  lost: 'owed' | 'gone' | null;
  /** Since a person wanted so, it was read again: for sure if it had been read before. */
  readonly again: { surely: number; perhaps: number };
  /** It may have been on its way when the group's offsets were lost. So it may come twice. */
  wasOnItsWay: boolean;
}

interface Last {
  readonly record: Judged;
  readonly batch: string;
}

/** An acknowledgement, of the record that has this id. */
export interface Acknowledged {
  readonly id: string;
  readonly partition: number;
  readonly offset: number;
  readonly status: string;
  readonly batch: string;
  readonly code?: string;
}

const REFUSED = 'refused_by_clickhouse';

/**
 * Judges what comes out by what was put in: what was written into the logs and cut from them, what the table got, what
 * was published, what the group has committed. It knows nothing of how records get from one to the other, and shares no
 * code with that.
 */
export class Checker {
  readonly #records = new Map<string, Judged>();
  /** What is in them now. */
  readonly #logs: Judged[][];
  /** First acknowledgements of records with a row, in the order in which they came. */
  readonly #firstAcks: Last[] = [];
  /** Batches of which ClickHouse has refused a row: then others of it come out of order. */
  readonly #refusedBatches = new Set<string>();
  /** By partition and epoch, the offsets that a batcher's history has got since they were to be read last. */
  readonly #accepted: Map<string, Set<number>>[];
  readonly #committed: number[];
  readonly #rewinds: number[];
  readonly #isFilled: boolean[];
  /** By partition and key, what was inserted last. */
  readonly #last = new Map<string, Last>();

  constructor(partitions: number) {
    const each = <T>(make: () => T): T[] => Array.from({ length: partitions }, make);
    this.#logs = each(() => []);
    this.#accepted = each(() => new Map<string, Set<number>>());
    this.#committed = each(() => 0);
    this.#rewinds = each(() => 0);
    this.#isFilled = each(() => false);
  }

  get records(): number {
    return this.#records.size;
  }

  /** Records that nobody had when their log was cut before them. */
  get gone(): number {
    return [...this.#records.values()].filter(({ lost }) => lost === 'gone').length;
  }

  produced(id: string, record: Produced): void {
    const judged: Judged = {
      ...record,
      ...{ id, order: this.#records.size, epochs: new Set(), isLetter: false, status: null, answers: 0 },
      ...{ isAccepted: false, isInTemporal: false, lost: null, again: { surely: 0, perhaps: 0 }, wasOnItsWay: false },
    };
    this.#records.set(id, judged);
    this.#logs[record.partition]!.push(judged);
  }

  /**
   * A log has lost its records from an offset on. What batchers had of them is due, once: it can be read no more. Of the
   * others nothing may ever be seen, or all.
   */
  cut(partition: number, at: number): void {
    for (const record of this.#logs[partition]!.splice(at)) record.lost = record.isInTemporal ? 'owed' : 'gone';
  }

  /** A batcher's history has got a record. */
  accepted(id: string, { partition, offset, epoch }: { partition: number; offset: number; epoch: string }): void {
    const record = this.#record(id);
    if (record.partition !== partition || record.offset !== offset)
      throw new Violation(`${id} is sent as the record at ${partition}/${offset}`);
    record.isAccepted = true;
    record.isInTemporal = true;
    const byEpoch = this.#accepted[partition]!;
    byEpoch.set(epoch, (byEpoch.get(epoch) ?? new Set()).add(offset));
  }

  /**
   * @param epoch under which everything before the offset was read, or what is at its end. A process that does not know yet that a
   *   log was cut commits what it has read, though others are in its place
   */
  committed(partition: number, offset: number, epoch: string): void {
    for (let at = this.#committed[partition]!; at < offset; at++) {
      const record = this.#logs[partition]![at];
      if (record?.isAccepted === true || this.#accepted[partition]!.get(epoch)?.has(at) === true) continue;
      throw new Violation(
        `offset ${offset} of partition ${partition} is committed, and nobody has record ${record?.id ?? `at ${at}`}`,
      );
    }
    this.#committed[partition] = offset;
  }

  /** A person sets the group's offset, so that records are read again, and get another row. */
  reset(partition: number, to: number): void {
    for (const { isAccepted, offset, again } of this.#logs[partition]!.slice(to)) {
      again.perhaps++;
      // What was not committed before may not have been read before.
      if (isAccepted && offset < this.#committed[partition]!) again.surely++;
    }
    this.#rewound(partition, to);
  }

  /** The group's offset is set back, to insert what the table lacks. So one row of a record is enough from now on. */
  filled(partition: number, to: number): void {
    this.#isFilled[partition] = true;
    this.#rewound(partition, to);
  }

  /** Temporal has lost what batchers had. */
  temporalLost(): void {
    for (const record of this.#records.values()) {
      record.isInTemporal = false;
      if (record.lost === 'owed') record.lost = 'gone';
    }
  }

  /** Kafka forgets what the group has committed. */
  offsetsLost(): void {
    for (const record of this.#logs.flat()) if (!record.isAccepted) record.wasOnItsWay = true;
  }

  /** The group's offset is set back. All after it has to be accepted again, and has no order with what was before. */
  #rewound(partition: number, to: number): void {
    this.#committed[partition] = to;
    this.#rewinds[partition]!++;
    for (const record of this.#logs[partition]!.slice(to)) record.isAccepted = false;
    for (const offsets of this.#accepted[partition]!.values())
      for (const offset of offsets) if (offset >= to) offsets.delete(offset);
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
    if (record.epochs.has(epoch)) throw new Violation(`${id} has a second row`);
    record.epochs.add(epoch);
    if (record.epochs.size > 1 + record.again.perhaps + (record.wasOnItsWay ? 1 : 0))
      throw new Violation(`${id} has ${record.epochs.size} rows, though nobody wanted it to be read again so often`);
    if (record.isLetter) throw new Violation(`${id} is a dead letter, and gets a row`);
    this.#keepsOrder(record, batch, mayBeShuffled);
  }

  #keepsOrder(record: Judged, batch: string, mayBeShuffled: boolean): void {
    // What a rewind brings has no order with what was there.
    if (this.#rewinds[record.partition]! > 0) return;
    const name = `${record.partition}/${record.key}`;
    const last = this.#last.get(name);
    const isLate = last !== undefined && last.record.order > record.order;
    if (isLate && record.lost === null && !(mayBeShuffled && last.batch === batch))
      throw new Violation(`${record.id} is inserted after ${last.record.id}, which has the same key and comes later`);
    this.#last.set(name, { record: isLate ? last.record : record, batch });
  }

  letter(id: string): void {
    const record = this.#record(id);
    if (record.kind === 'good') throw new Violation(`${id} is good, and becomes a dead letter`);
    record.isLetter = true;
  }

  acknowledged({ id, partition, offset, status, batch, code }: Acknowledged): void {
    const record = this.#record(id);
    if (record.partition !== partition || record.offset !== offset)
      throw new Violation(`${id} is acknowledged as the record at ${partition}/${offset}`);
    const before = record.status;
    if (before !== null && before !== status) throw new Violation(`${id} was ${before}, and now is ${status}`);
    record.status = status;
    record.answers++;
    if (code === REFUSED) this.#refusedBatches.add(batch);
    if (before === null && status === 'inserted' && this.#rewinds[partition] === 0)
      this.#firstAcks.push({ record, batch });
    if (status === 'inserted' && record.epochs.size === 0) throw new Violation(`${id} is acknowledged, and has no row`);
    if (status === 'rejected' && !record.isLetter)
      throw new Violation(`${id} is acknowledged as rejected, and is no dead letter`);
  }

  /** What is still to come. Null if nothing is. */
  missing(): string | null {
    for (const record of this.#records.values()) {
      const { id, kind, status, epochs, answers } = record;
      if (record.lost === 'gone') continue;
      if (status === null) return `${id} has no answer`;
      const least = this.#least(record);
      if (kind === 'good' && epochs.size < least) return `${id} has ${epochs.size} rows`;
      if (answers < least) return `${id} has ${answers} answers, and was read ${least} times`;
    }
    for (const [partition, log] of this.#logs.entries())
      if (this.#committed[partition]! < log.length)
        return `partition ${partition} is committed up to ${this.#committed[partition]} of ${log.length}`;
    return null;
  }

  /** Records of a key are acknowledged in their order. To be asked at the end, when all refused batches are known. */
  answersKeepOrder(): void {
    const last = new Map<string, Last>();
    for (const ack of this.#firstAcks) {
      const { record, batch } = ack;
      const name = `${record.partition}/${record.key}`;
      const before = last.get(name);
      const isLate = before !== undefined && before.record.order > record.order;
      const mayBeShuffled = before?.batch === batch && this.#refusedBatches.has(batch);
      if (isLate && record.lost === null && !mayBeShuffled)
        throw new Violation(
          `${record.id} is acknowledged after ${before.record.id}, which has the same key and comes later`,
        );
      if (!isLate) last.set(name, ack);
    }
  }

  /** How many rows and answers a record has, at least. */
  #least({ partition, lost, again }: Judged): number {
    return this.#isFilled[partition] === true || lost !== null ? 1 : 1 + again.surely;
  }

  #record(id: string): Judged {
    const record = this.#records.get(id);
    if (record === undefined) throw new Violation(`${id} was never produced`);
    return record;
  }
}
