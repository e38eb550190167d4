import { Violations } from './violations.js';

/** A record of the input topic, as librdkafka reads it: what is committed. */
export interface InputRecord {
  readonly partition: number;
  readonly offset: number;
  /** The producer's, -1 if there is none. */
  readonly id: number;
  readonly key: string | null;
  /** Digest that its row has to have. */
  readonly row: number;
  /** Digest of the record as it is, which its dead letter has to have. */
  readonly letter: number;
  /** Code with which it has to be rejected; empty if it has to become a row. */
  readonly expects: string;
}

/** A row of the table. */
export interface Row {
  readonly partition: number;
  readonly offset: number;
  readonly id: number;
  readonly digest: number;
  /** Of the reading of its partition's log that has made it. */
  readonly epoch: string;
  /** Microseconds since 1970 at which ClickHouse took it. */
  readonly insertedAtUs: number;
  /** Which table, if the table was made anew. Rows are added table by table, the oldest one first. */
  readonly table: number;
  /** Whether it came soon before a new table came in the place of its own. */
  readonly isLate: boolean;
}

/** A message of the dead-letter topic: where its record was, and what it holds. */
export interface Letter {
  readonly partition: number;
  readonly offset: number;
  readonly id: number;
  readonly code: string;
  readonly digest: number;
}

/** An acknowledgement, in the order of its partition of the reply topic. */
export interface Ack {
  readonly replyPartition: number;
  readonly replyOffset: number;
  readonly partition: number;
  readonly offset: number;
  readonly status: string;
  readonly batch: string;
  /** Under which its batch has the record; null if the batch is not known, or has it under two. */
  readonly epoch: string | null;
  readonly code: string;
  /** Of the record, which has it in a header that is copied. */
  readonly id: number;
  /** When a broker had it, by the broker's clock. */
  readonly atMs: number;
}

/** What is noted of a record, or of what names one: bits of {@link Partition.marks}. */
const MARK = {
  record: 1,
  rowOfOtherId: 2,
  rowDiffers: 4,
  letterOfOtherId: 8,
  letterDiffers: 16,
  lettersDisagree: 32,
  acksDisagree: 64,
  lateInOldTable: 128,
  ackOfOtherId: 256,
  /** Two rows of one table are of one epoch. */
  twiceUnderEpoch: 512,
  /** Rows of two tables are of one epoch. */
  inTwoTables: 1_024,
} as const;
type Mark = keyof typeof MARK;

const COUNT_MAX = 255;
const CAPACITY_MIN = 1_024;
/** More than a run can have, so that a wrong place does not take the memory. */
const PARTITIONS_MAX = 1_024;
const OFFSET_END = 2 ** 27;

/** The rows of a record that are of one epoch. */
interface RowsOfEpoch {
  readonly epoch: number;
  /** The earliest one. */
  insertedAtUs: number;
  /** Of the last one that was added. */
  table: number;
}

/** Where an acknowledgement is, and of which batch. */
export interface AckPlace {
  readonly repliedIn: number;
  readonly repliedAt: number;
  readonly batchIndex: number;
}

/** @see Ack.epoch, 0 is null */
interface AckOfEpoch extends AckPlace {
  readonly epoch: number;
}

/**
 * All records of a run, and what became of each: about 90 bytes a record, so that ten million can be judged. What is read is
 * added in any order, the records first.
 */
export class Ledger {
  readonly partitions: Partition[] = [];
  readonly keys = new Names();
  /** Statuses and codes of acknowledgements, and codes of dead letters. */
  readonly sayings = new Names();
  readonly batches = new Names();
  readonly epochs = new Names();
  /** What names a place at which no record is. */
  readonly strange = new Violations();
  readonly counts = { records: 0, rows: 0, letters: 0, acks: 0, secondLetters: 0, secondAcks: 0 };
  /** Of records that Kafka has lost: at their places others may be now. */
  readonly #lost: Ledger[] = [];

  /** What names a record of these from now on is added there. */
  addLost(lost: Ledger): void {
    this.#lost.push(lost);
  }

  /** Undefined if no record is there. */
  idAt(partition: number, offset: number): number | undefined {
    const own = this.partitions[partition];
    return own?.has(offset, 'record') === true ? own.ids[offset] : undefined;
  }

  addRecord({ partition, offset, id, key, row, letter, expects }: InputRecord): void {
    if (partition >= PARTITIONS_MAX || offset >= OFFSET_END)
      throw new Error(`No run has a record at ${partition}/${offset}`);
    while (this.partitions.length <= partition) this.partitions.push(new Partition());
    const own = this.partitions[partition] as Partition;
    own.reach(offset);
    this.counts.records++;
    own.set(offset, 'record');
    own.ids[offset] = id;
    own.keys[offset] = this.keys.indexOf(key);
    own.rowDigests[offset] = row;
    own.letterDigests[offset] = letter;
    own.expected[offset] = this.sayings.indexOf(expects);
  }

  addRow(row: Row): void {
    const lost = this.#lostOf(row);
    if (lost !== undefined) {
      lost.addRow(row);
      return;
    }
    this.counts.rows++;
    const own = this.#at('row', row);
    if (own === undefined) return;
    const { offset } = row;
    own.noteRow(row, this.epochs.indexOf(row.epoch), add(own.rows, offset) === 0);
    if (row.isLate) own.set(offset, 'lateInOldTable');
    if (own.ids[offset] !== row.id) own.set(offset, 'rowOfOtherId');
    if (own.rowDigests[offset] !== row.digest) own.set(offset, 'rowDiffers');
  }

  addLetter(letter: Letter): void {
    const lost = this.#lostOf(letter);
    if (lost !== undefined) {
      lost.addLetter(letter);
      return;
    }
    this.counts.letters++;
    const own = this.#at('dead letter', letter);
    if (own === undefined) return;
    const { offset } = letter;
    const code = this.sayings.indexOf(letter.code);
    if (add(own.letters, offset) === 0) own.letterCodes[offset] = code;
    else {
      this.counts.secondLetters++;
      if (own.letterCodes[offset] !== code) own.set(offset, 'lettersDisagree');
    }
    if (own.ids[offset] !== letter.id) own.set(offset, 'letterOfOtherId');
    if (own.letterDigests[offset] !== letter.digest) own.set(offset, 'letterDiffers');
  }

  /** In the order of each reply partition: the first one of a record counts for the order. */
  addAck(ack: Ack): void {
    const lost = this.#lostOf(ack);
    if (lost !== undefined) {
      lost.addAck(ack);
      return;
    }
    this.counts.acks++;
    const own = this.#at('acknowledgement', ack);
    if (own === undefined) return;
    const { offset } = ack;
    const said = this.sayings.indexOf(`${ack.status} ${ack.code}`.trim());
    if (own.ids[offset] !== ack.id) own.set(offset, 'ackOfOtherId');
    // Those of one record may be in several partitions.
    const firstAtMs = own.firstAckAtMs[offset] ?? 0;
    if (firstAtMs === 0 || ack.atMs < firstAtMs) own.firstAckAtMs[offset] = ack.atMs;
    own.lastAckAtMs[offset] = Math.max(own.lastAckAtMs[offset] ?? 0, ack.atMs);
    if (add(own.acks, offset) > 0) {
      this.counts.secondAcks++;
      if (own.said[offset] !== said) own.set(offset, 'acksDisagree');
      own.noteLaterAck(offset, this.#ackOfEpoch(ack));
      return;
    }
    own.said[offset] = said;
    own.repliedIn[offset] = ack.replyPartition;
    own.repliedAt[offset] = ack.replyOffset;
    own.batches[offset] = this.batches.indexOf(ack.batch);
    own.ackEpochs[offset] = this.epochs.indexOf(ack.epoch);
  }

  /**
   * A signal brought it to a batcher, at this time by Temporal's clock. The earliest one counts. What is no record is left
   * out, and so is a place at which Kafka has lost another record: which of the two it was is not known.
   */
  addAccepted(partition: number, offset: number, atMs: number, epoch: string): void {
    const own = this.partitions[partition];
    if (own?.has(offset, 'record') !== true) return;
    if (this.#lost.some((lost) => lost.idAt(partition, offset) !== undefined)) return;
    const before = own.acceptedAtMs[offset] ?? 0;
    if (before === 0 || atMs < before) own.acceptedAtMs[offset] = atMs;
    own.noteAccepted(offset, this.epochs.indexOf(epoch));
  }

  /** Every record, by partition and offset. */
  forEach(visit: (record: RecordState, partition: number, offset: number) => void): void {
    const state = new RecordState(this);
    for (const [partition, own] of this.partitions.entries()) {
      for (let offset = 0; offset < own.end; offset++) {
        if (!own.has(offset, 'record')) continue;
        state.moveTo(own, partition, offset);
        visit(state, partition, offset);
      }
    }
  }

  #lostOf({ partition, offset, id }: { readonly partition: number; readonly offset: number; readonly id: number }) {
    if (this.#lost.length === 0 || this.idAt(partition, offset) === id) return undefined;
    return this.#lost.find((lost) => lost.idAt(partition, offset) === id);
  }

  #ackOfEpoch({ epoch, replyPartition, replyOffset, batch }: Ack): AckOfEpoch {
    return {
      epoch: this.epochs.indexOf(epoch),
      repliedIn: replyPartition,
      repliedAt: replyOffset,
      batchIndex: this.batches.indexOf(batch),
    };
  }

  #at(what: string, { partition, offset }: { readonly partition: number; readonly offset: number }) {
    const own = this.partitions[partition];
    if (own?.has(offset, 'record') === true) return own;
    this.strange.add(() => `a ${what} of ${partition}/${offset}, where no record is`);
    return undefined;
  }
}

/** A record and what became of it. The same object is moved from record to record. */
export class RecordState {
  readonly #ledger: Ledger;
  #own: Partition = new Partition();
  #partition = 0;
  #offset = 0;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  moveTo(own: Partition, partition: number, offset: number): void {
    this.#own = own;
    this.#partition = partition;
    this.#offset = offset;
  }

  get partition(): number {
    return this.#partition;
  }

  get offset(): number {
    return this.#offset;
  }

  get place(): string {
    return `${this.#partition}/${this.#offset}`;
  }

  get id(): number {
    return this.#own.ids[this.#offset] ?? -1;
  }

  get name(): string {
    return `${this.place} (id ${this.id})`;
  }

  /** 0: it has none. */
  get keyIndex(): number {
    return this.#own.keys[this.#offset] ?? 0;
  }

  get key(): string | null {
    return this.#ledger.keys.at(this.keyIndex);
  }

  /** Code with which it has to be rejected; empty if it has to become a row. */
  get expects(): string {
    return this.#ledger.sayings.at(this.#own.expected[this.#offset] ?? 0) ?? '';
  }

  /** At most 255, as the next two. */
  get rows(): number {
    return this.#own.rows[this.#offset] ?? 0;
  }

  get letters(): number {
    return this.#own.letters[this.#offset] ?? 0;
  }

  get acks(): number {
    return this.#own.acks[this.#offset] ?? 0;
  }

  /** Epochs of its rows, by number. */
  get rowEpochs(): readonly number[] {
    if (this.rows === 0) return [];
    return this.#own.moreRows.get(this.#offset)?.map(({ epoch }) => epoch) ?? [this.#own.rowEpochs[this.#offset] ?? 0];
  }

  /** When the earliest row of an epoch was inserted. */
  insertedUnder(epoch: number): number {
    const rows = this.#own.moreRows.get(this.#offset);
    return rows?.find((each) => each.epoch === epoch)?.insertedAtUs ?? this.insertedAtUs;
  }

  /** Of the earliest row. */
  get insertedAtUs(): number {
    return this.#own.insertedAtUs[this.#offset] ?? 0;
  }

  /** When the earliest acknowledgement was written; 0: there is none. */
  get firstAckAtMs(): number {
    return this.#own.firstAckAtMs[this.#offset] ?? 0;
  }

  /** When the latest one was. */
  get lastAckAtMs(): number {
    return this.#own.lastAckAtMs[this.#offset] ?? 0;
  }

  /** When Temporal had it; 0: it is in no history. */
  get acceptedAtMs(): number {
    return this.#own.acceptedAtMs[this.#offset] ?? 0;
  }

  /** Epochs under which Temporal had it. */
  get acceptedEpochs(): readonly number[] {
    if (this.acceptedAtMs === 0) return [];
    return [this.#own.acceptedEpochs[this.#offset] ?? 0, ...(this.#own.moreAccepted.get(this.#offset) ?? [])];
  }

  /** Of the first dead letter. */
  get letterCode(): string {
    return this.#ledger.sayings.at(this.#own.letterCodes[this.#offset] ?? 0) ?? '';
  }

  /** Status and code of the first acknowledgement. */
  get said(): string {
    return this.#ledger.sayings.at(this.#own.said[this.#offset] ?? 0) ?? '';
  }

  /** Of the first acknowledgement, as the next two. */
  get repliedIn(): number {
    return this.#own.repliedIn[this.#offset] ?? 0;
  }

  get repliedAt(): number {
    return this.#own.repliedAt[this.#offset] ?? 0;
  }

  get batchIndex(): number {
    return this.#own.batches[this.#offset] ?? 0;
  }

  /** The first acknowledgement of each epoch, and all of which the epoch is not known. */
  get answers(): readonly AckOfEpoch[] {
    if (this.acks === 0) return [];
    const { repliedIn, repliedAt, batchIndex } = this;
    const epoch = this.#own.ackEpochs[this.#offset] ?? 0;
    return [{ epoch, repliedIn, repliedAt, batchIndex }, ...(this.#own.moreAcks.get(this.#offset) ?? [])];
  }

  has(mark: Mark): boolean {
    return this.#own.has(this.#offset, mark);
  }
}

/** Columns of a partition, by offset. {@link reach} makes all of its arrays larger. */
class Partition {
  /** After the last record. */
  end = 0;
  #capacity = 0;
  marks = new Uint16Array(0);
  ids = new Float64Array(0);
  keys = new Uint32Array(0);
  rowDigests = new Float64Array(0);
  letterDigests = new Float64Array(0);
  expected = new Uint16Array(0);
  rows = new Uint8Array(0);
  firstTable = new Uint8Array(0);
  letters = new Uint8Array(0);
  acks = new Uint8Array(0);
  insertedAtUs = new Float64Array(0);
  acceptedAtMs = new Float64Array(0);
  firstAckAtMs = new Float64Array(0);
  lastAckAtMs = new Float64Array(0);
  letterCodes = new Uint16Array(0);
  said = new Uint16Array(0);
  repliedIn = new Uint16Array(0);
  repliedAt = new Uint32Array(0);
  batches = new Uint32Array(0);
  /** Epochs of the first row, of the first acknowledgement, and of the first signal that was added. */
  rowEpochs = new Uint16Array(0);
  ackEpochs = new Uint16Array(0);
  acceptedEpochs = new Uint16Array(0);
  /** What few records have, by offset: all epochs of those with two rows, and what comes after the first one of a kind. */
  readonly moreRows = new Map<number, RowsOfEpoch[]>();
  readonly moreAcks = new Map<number, AckOfEpoch[]>();
  readonly moreAccepted = new Map<number, number[]>();

  /** Makes room for the record at this offset. */
  reach(offset: number): void {
    this.end = Math.max(this.end, offset + 1);
    if (offset < this.#capacity) return;
    // Half as much again: twice as much would take as much memory as all the rest.
    const capacity = Math.max(CAPACITY_MIN, Math.ceil((offset + 1) * 1.5));
    this.#capacity = capacity;
    const fields = this as unknown as Record<string, unknown>;
    for (const name of Object.keys(this)) {
      const column = fields[name];
      if (isColumn(column)) fields[name] = grown(column, capacity);
    }
  }

  noteRow({ offset, insertedAtUs, table }: Row, epoch: number, isFirst: boolean): void {
    if (isFirst) {
      this.rowEpochs[offset] = epoch;
      this.insertedAtUs[offset] = insertedAtUs;
      this.firstTable[offset] = table;
      return;
    }
    const rows = getOrMake(this.moreRows, offset, () => [
      {
        epoch: this.rowEpochs[offset] ?? 0,
        insertedAtUs: this.insertedAtUs[offset] ?? 0,
        table: this.firstTable[offset] ?? 0,
      },
    ]);
    this.insertedAtUs[offset] = Math.min(this.insertedAtUs[offset] ?? 0, insertedAtUs);
    const known = rows.find((each) => each.epoch === epoch);
    if (known === undefined) {
      rows.push({ epoch, insertedAtUs, table });
      return;
    }
    this.set(offset, known.table === table ? 'twiceUnderEpoch' : 'inTwoTables');
    known.table = table;
    known.insertedAtUs = Math.min(known.insertedAtUs, insertedAtUs);
  }

  noteLaterAck(offset: number, ack: AckOfEpoch): void {
    const { epoch } = ack;
    if (epoch !== 0 && epoch === this.ackEpochs[offset]) return;
    const acks = getOrMake(this.moreAcks, offset, () => []);
    if (epoch === 0 || !acks.some((each) => each.epoch === epoch)) acks.push(ack);
  }

  noteAccepted(offset: number, epoch: number): void {
    const first = this.acceptedEpochs[offset];
    if (first === 0) this.acceptedEpochs[offset] = epoch;
    else if (first !== epoch) {
      const more = getOrMake(this.moreAccepted, offset, () => []);
      if (!more.includes(epoch)) more.push(epoch);
    }
  }

  has(offset: number, mark: Mark): boolean {
    return ((this.marks[offset] ?? 0) & MARK[mark]) !== 0;
  }

  set(offset: number, mark: Mark): void {
    this.marks[offset] = (this.marks[offset] ?? 0) | MARK[mark];
  }
}

/** Texts by number. Number 0 is null. */
class Names {
  readonly #numbers = new Map<string, number>();
  readonly #texts: (string | null)[] = [null];

  indexOf(text: string | null): number {
    if (text === null) return 0;
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    this.#numbers.set(text, this.#texts.length);
    return this.#texts.push(text) - 1;
  }

  at(index: number): string | null {
    return this.#texts[index] ?? null;
  }
}

function getOrMake<V>(map: Map<number, V>, key: number, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** @returns the count before */
function add(counts: Uint8Array, offset: number): number {
  const before = counts[offset] ?? 0;
  counts[offset] = Math.min(COUNT_MAX, before + 1);
  return before;
}

type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array;

function isColumn(value: unknown): value is Column {
  return ArrayBuffer.isView(value);
}

function grown(column: Column, capacity: number): Column {
  const Kind = column.constructor as new (length: number) => Column;
  const larger = new Kind(capacity);
  larger.set(column);
  return larger;
}
