import { Tally } from './tally.js';

/** An acknowledgement, as far as the demo looks at it. */
export interface Ack {
  /** The number of the record that it answers, from the header that it brought back; undefined where it has none. */
  readonly index: number | undefined;
  readonly status: string;
  readonly code?: string;
  readonly message?: string;
}

/** Why a record was rejected. */
export interface RejectionReason {
  readonly index: number;
  readonly code: string;
  readonly message: string;
}

const REJECTIONS_KEPT_MAX = 100;

/** What was sent and what was answered, of one pipeline: 13 bytes a record, so that millions fit. */
export class AckLedger {
  readonly inserted: Tally;
  readonly rejected: Tally;
  /** The first rejections with their reasons. */
  readonly rejections: RejectionReason[] = [];
  readonly #sentAtMs: Float64Array;
  readonly #latencyMs: Float32Array;
  #sent = 0;
  #answered = 0;
  #lastAnswerAtMs = NaN;

  /** @param records all that will be sent, the bad ones included */
  constructor(records: number) {
    this.inserted = new Tally(records);
    this.rejected = new Tally(records);
    this.#sentAtMs = new Float64Array(records).fill(NaN);
    this.#latencyMs = new Float32Array(records).fill(NaN);
  }

  /** A record is about to be sent. */
  sending(index: number, atMs: number): void {
    this.#sentAtMs[index] = atMs;
  }

  /** Kafka has so many more. */
  sent(records: number): void {
    this.#sent += records;
  }

  received({ index, status, code = '', message = '' }: Ack, atMs: number): void {
    const tally = status === 'inserted' ? this.inserted : this.rejected;
    const answered = index !== undefined && (this.inserted.has(index) || this.rejected.has(index));
    if (!tally.add(index) || index === undefined) return;
    if (tally === this.rejected && this.rejections.length < REJECTIONS_KEPT_MAX)
      this.rejections.push({ index, code: code === '' ? status : code, message });
    if (answered) return;
    this.#answered += 1;
    this.#latencyMs[index] = atMs - (this.#sentAtMs[index] ?? NaN);
    this.#lastAnswerAtMs = atMs;
  }

  /** Records that Kafka has. */
  get produced(): number {
    return this.#sent;
  }

  /** The numbers from `from` to `to - 1` of records that were sent. */
  sentIndexes(from: number, to: number): number[] {
    const indexes: number[] = [];
    for (let index = from; index < to; index++) {
      if (!Number.isNaN(this.#sentAtMs[index] ?? NaN)) indexes.push(index);
    }
    return indexes;
  }

  /** Different records that were answered, whatever the answer. */
  get answered(): number {
    return this.#answered;
  }

  /** When the last record got its first answer; NaN before that. */
  get lastAnswerAtMs(): number {
    return this.#lastAnswerAtMs;
  }

  /** From sending to the first answer, of the records from `from` to `to - 1`; NaN where there is none. */
  latenciesMs(from: number, to: number): Float32Array {
    return this.#latencyMs.subarray(from, to);
  }
}
