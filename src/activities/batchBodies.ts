import type { BatchSpec } from '../protocol/flush.js';
import type { RunHistories } from '../temporal/runHistories.js';

/** Bytes that are kept, at most. A batch has up to 1.4 MB. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

/**
 * The bodies of batches that are stored once, see `BATCH_FORMATS`. The worker that executes a batcher's workflow is handed
 * each batch before its insert is scheduled, and keeps it for that insert. Another worker, or a process that has started
 * since, reads it from the history.
 */
export class BatchBodies {
  readonly #histories: Pick<RunHistories, 'flushing'>;
  /** By batcher and batch, the one that was kept first is first. */
  readonly #kept = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(histories: Pick<RunHistories, 'flushing'>) {
    this.#histories = histories;
  }

  /** Bytes that are kept now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps the bodies of a batch until {@link forget}, or until there is no room for them. */
  keep(batcher: string, id: string, bodies: Uint8Array): void {
    this.forget(batcher, id);
    this.#kept.set(nameOf(batcher, id), bodies);
    this.#bytes += bodies.length;
    for (const [name, { length }] of this.#kept) {
      if (this.#bytes <= KEPT_BYTES_MAX) return;
      this.#kept.delete(name);
      this.#bytes -= length;
    }
  }

  /**
   * The bodies of a batch. Those that are read from the history are kept for the next attempt.
   *
   * @throws Error if the run does not flush this batch, or Temporal does not answer
   */
  async of({ batcher, id }: Pick<BatchSpec, 'batcher' | 'id'>, runId: string): Promise<Uint8Array> {
    const kept = this.#kept.get(nameOf(batcher, id));
    if (kept !== undefined) return kept;
    const bodies = await this.#histories.flushing(batcher, runId, id);
    this.keep(batcher, id, bodies);
    return bodies;
  }

  /** To be called when a batch is done. */
  forget(batcher: string, id: string): void {
    const name = nameOf(batcher, id);
    this.#bytes -= this.#kept.get(name)?.length ?? 0;
    this.#kept.delete(name);
  }
}

function nameOf(batcher: string, id: string): string {
  return `${batcher} ${id}`;
}
