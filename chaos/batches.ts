/** As much of the first argument of `insertBatch` as is needed: docs/formats.md. */
interface Batch {
  readonly id: string;
  readonly chunks: readonly {
    readonly segments: readonly (OfPartition & {
      readonly topic: string;
      readonly from: number;
      readonly to: number;
    })[];
    /** Of each segment: the ranges that belong to the batch, or null for all of it. */
    readonly keep: readonly (readonly Range[] | null)[];
  }[];
}

interface OfPartition {
  readonly partition: number;
  readonly epoch: string;
}

/** Offsets after the first one, up to and including the second one. */
type Range = readonly [from: number, to: number];

/** Offsets of a partition that a batch has under an epoch. */
interface Part extends OfPartition {
  readonly from: number;
  to: number;
}

/**
 * Which epochs batches have records of. An acknowledgement names its batch, and no epoch: so of two readings of a record the
 * batch tells which one it answers.
 */
export class Batches {
  readonly #topic: string;
  readonly #parts = new Map<string, readonly Part[]>();

  /** @param topic that counts */
  constructor(topic: string) {
    this.#topic = topic;
  }

  /** @param json the first argument of `insertBatch`. One that is repeated is the same */
  add(json: Uint8Array): void {
    const { id, chunks } = JSON.parse(Buffer.from(json).toString()) as Batch;
    if (this.#parts.has(id)) return;
    const parts: Part[] = [];
    for (const { segments, keep } of chunks)
      for (const [index, { topic, partition, epoch, from, to }] of segments.entries())
        if (topic === this.#topic)
          for (const range of keep[index] ?? [[from, to] as const]) addTo(parts, { partition, epoch }, range);
    this.#parts.set(id, parts);
  }

  /** Null if the batch is not known, or does not have the record, or has it under two epochs. */
  readonly epochOf = (batch: string, partition: number, offset: number): string | null => {
    let epoch: string | null = null;
    for (const part of this.#parts.get(batch) ?? []) {
      if (part.partition !== partition || offset <= part.from || offset > part.to) continue;
      if (epoch !== null && epoch !== part.epoch) return null;
      ({ epoch } = part);
    }
    return epoch;
  };
}

/** Chunks of a batch mostly go on where those before have ended. */
function addTo(parts: Part[], { partition, epoch }: OfPartition, [from, to]: Range): void {
  const before = parts.find((part) => part.partition === partition && part.epoch === epoch && part.to === from);
  if (before === undefined) parts.push({ partition, epoch, from, to });
  else before.to = to;
}
