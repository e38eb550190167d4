import type { EpochEnd } from '../../../src/kafka/admin.js';
import type { EpochStart, RecordSetPart } from '../../../src/kafka/kafkajs/recordSet.js';
import type { RecordHeader } from '../../../src/protocol/record.js';
import { fetchedRecord } from '../../support/records.js';

/** What is written into a log. */
export interface Written {
  readonly key: string;
  readonly value: string;
  readonly headers: readonly RecordHeader[];
  readonly timestampMs: number;
}

/** The log of a partition. Each of its leaders writes under another epoch. */
export class PartitionLog {
  readonly #records: (Written & { readonly leaderEpoch: number })[] = [];
  #leaderEpoch = 0;

  /** The offset of the next record. */
  get end(): number {
    return this.#records.length;
  }

  append(record: Written): void {
    this.#records.push({ ...record, leaderEpoch: this.#leaderEpoch });
  }

  /** Another broker leads from now on. It lacks the last ones of the records. */
  elect(lacking: number): void {
    this.#leaderEpoch++;
    this.#records.length = Math.max(0, this.end - lacking);
  }

  /** Up to so many records from an offset on, as they are fetched. */
  part(from: number, recordsMax: number): RecordSetPart & { readonly leaderEpochs: readonly EpochStart[] } {
    const next = Math.min(this.end, from + recordsMax);
    const records = this.#records
      .slice(from, next)
      .map(({ key, value, headers, timestampMs }, index) =>
        fetchedRecord(from + index, timestampMs, Buffer.from(key), Buffer.from(value), headers),
      );
    return { from, next, records, failure: null, leaderEpochs: this.#leaderEpochs(from, next) };
  }

  /** As `LeaderEpochFileCache.endOffsetFor` of Kafka. */
  epochEnd(asked: number): EpochEnd {
    if (asked === this.#leaderEpoch) return { leaderEpoch: asked, endOffset: this.end };
    const starts = this.#leaderEpochs(0, this.end);
    // A leader notes its epoch before it has written anything.
    if (starts.at(-1)?.leaderEpoch !== this.#leaderEpoch)
      starts.push({ leaderEpoch: this.#leaderEpoch, from: this.end });
    const later = starts.find(({ leaderEpoch }) => leaderEpoch > asked);
    if (later === undefined) return { leaderEpoch: -1, endOffset: -1 };
    const known = starts.findLast(({ leaderEpoch }) => leaderEpoch <= asked)?.leaderEpoch ?? asked;
    return { leaderEpoch: known, endOffset: later.from };
  }

  #leaderEpochs(from: number, to: number): EpochStart[] {
    const starts: EpochStart[] = [];
    for (const [index, { leaderEpoch }] of this.#records.slice(from, to).entries())
      if (leaderEpoch !== starts.at(-1)?.leaderEpoch) starts.push({ leaderEpoch, from: from + index });
    return starts;
  }
}
