import type { CloseRequest, ControlAction, ControlRequest } from '../protocol/batcher.js';
import type { ChunkMeta } from '../protocol/chunk.js';
import type { Parking } from '../protocol/flush.js';
import type { Inheritance } from '../protocol/inheritance.js';
import type { RowRequest } from '../protocol/request.js';
import type { Buffered } from './batchPlanning.js';
import type { BatcherParts } from './batcherParts.js';
import { Coverage } from './coverage.js';
import { takeRequest } from './requestIntake.js';
import { isDoubtful, noteOrigin, takeInheritance } from './trust.js';

/**
 * Applies signals to a batcher's state. Pure. An heir cannot judge a chunk before it knows what its closed run had
 * accepted, so signals that arrive before wait.
 *
 *     heir ──inherit──► judging      (a run that is no heir begins here)
 */
export class SignalIntake {
  readonly #parts: BatcherParts;
  readonly #workflowId: string;
  readonly #requiresEncryption: () => boolean;
  #unreadRun: string | null;
  /** What waits, in order of arrival. */
  readonly #unjudged: (() => void)[] = [];

  /**
   * @param requiresEncryption whether the settings do so now
   * @param unreadRun see {@link unreadRun}
   */
  constructor(parts: BatcherParts, workflowId: string, requiresEncryption: () => boolean, unreadRun: string | null) {
    this.#parts = parts;
    this.#workflowId = workflowId;
    this.#requiresEncryption = requiresEncryption;
    this.#unreadRun = unreadRun;
  }

  /** The closed run whose inheritance is still to be read. Set only in an heir, until it has read it. */
  get unreadRun(): string | null {
    return this.#unreadRun;
  }

  /** Whether it is an heir that does not know yet what was accepted before. */
  get isWaitingForInheritance(): boolean {
    return this.#unreadRun !== null;
  }

  /** From now on what arrives waits, until the run has read what this one has left. */
  waitFor(unreadRun: string): void {
    this.#unreadRun ??= unreadRun;
  }

  /** See `BatcherState.accept`. */
  accept(meta: ChunkMeta, body: Uint8Array, nowMs: number, encrypted: boolean): void {
    this.#count();
    // A chunk without records only brings the settings.
    if (meta.segments.length > 0) this.#onceInherited(() => this.#judge(meta, body, nowMs, encrypted));
  }

  #judge({ segments, records, bytes, waitedMs }: ChunkMeta, body: Uint8Array, nowMs: number, encrypted: boolean): void {
    const { counters, progress } = this.#parts;
    const keep = this.#coverageFor(encrypted, segments, nowMs).accept(segments, nowMs);
    if (keep === null) {
      counters.duplicateChunks++;
      progress.duplicateChunks++;
      return;
    }
    if (isDoubtful(this.#parts, segments, keep)) this.#parts.buffer.doubt();
    const accepted = { acceptedAtMs: nowMs, ...(isDelay(waitedMs) ? { waitedMs } : {}) };
    const chunk = { segments, keep, records, bytes, bodyBytes: body.length, ...accepted };
    this.#append({ chunk: encrypted ? { ...chunk, encrypted } : chunk, body });
  }

  /**
   * What has waited since before encryption was required, and is not encrypted, stays out of the coverage: otherwise it
   * could have others taken for accepted.
   */
  #coverageFor(encrypted: boolean, segments: ChunkMeta['segments'], nowMs: number): Coverage {
    if (!encrypted && this.#requiresEncryption()) return new Coverage(this.#parts.coverage.toState());
    noteOrigin(this.#parts, encrypted, segments, nowMs);
    return this.#parts.coverage;
  }

  /**
   * See `BatcherState.submit`.
   *
   * @param fits see `takeRequest`
   */
  submit(request: RowRequest, nowMs: number, fits: (encodedBytes: number) => boolean, encrypted: boolean): void {
    this.#count();
    this.#onceInherited(() => this.#judgeRequest(request, nowMs, fits, encrypted));
  }

  #judgeRequest(request: RowRequest, nowMs: number, fits: (encodedBytes: number) => boolean, encrypted: boolean): void {
    if (this.#refusesNow(encrypted)) return;
    const { requests, confirmations, counters } = this.#parts;
    const intake = takeRequest(requests, this.#workflowId, request, nowMs, fits);
    if (intake.type === 'new') {
      const { chunk, body } = intake.buffered;
      this.#append({ chunk: encrypted ? { ...chunk, encrypted } : chunk, body });
    } else counters.duplicateChunks++;
    if (intake.type === 'answered') confirmations.add([intake.unconfirmed], nowMs);
  }

  #append(buffered: Buffered): void {
    const { buffer, counters, progress } = this.#parts;
    const { records } = buffered.chunk;
    buffer.append(buffered);
    counters.records += records;
    progress.records += records;
  }

  /** See `BatcherState.close`. */
  close({ offset, ...source }: CloseRequest, encrypted: boolean): void {
    this.#parts.progress.handled = true;
    this.#onceInherited(() => {
      if (this.#refusesNow(encrypted)) return;
      this.#parts.coverage.close(source, offset);
      if (encrypted) this.#parts.encryptedCoverage?.close(source, offset);
    });
  }

  /** Whether something that has waited is refused by now. Otherwise notes how it came. */
  #refusesNow(encrypted: boolean): boolean {
    const refuses = !encrypted && this.#requiresEncryption();
    if (refuses) this.countRefusedSignal();
    else noteOrigin(this.#parts, encrypted, [], 0);
    return refuses;
  }

  /** A person pauses, flushes, drains, … None of it depends on what an heir has to read. */
  control(action: ControlAction, { actor, reason, batch }: ControlRequest, nowMs: number, encrypted: boolean): void {
    const { buffer, controls, progress } = this.#parts;
    progress.handled = true;
    noteOrigin(this.#parts, encrypted, [], nowMs);
    controls.record({ action, actor, reason, atMs: nowMs });
    switch (action) {
      case 'pause':
      case 'resume':
        controls.pause(action === 'pause', encrypted);
        break;
      case 'flush':
        buffer.flushAll();
        break;
      case 'drain':
        controls.drain(encrypted);
        break;
      case 'park':
        this.#park(batch, { reason });
        break;
    }
  }

  /** If another batch is being flushed, the given one is done, and there is nothing to give up. */
  #park(number: number | undefined, parking: Parking): void {
    const { flushes, leftovers } = this.#parts;
    if (flushes.park(number, parking) && flushes.current?.reason === 'inherited') leftovers.park(parking);
  }

  countRefusedSignal(): void {
    this.#parts.progress.refusedSignals++;
  }

  countForeignSignal(): void {
    this.#parts.progress.handled = true;
    this.#parts.counters.foreignSignals++;
  }

  /**
   * The heir has read what its closed run has left.
   *
   * @throws Error if the run is no heir, or has read its inheritance already
   */
  inherit(inheritance: Inheritance): void {
    if (!this.isWaitingForInheritance) throw new Error('there is nothing to inherit');
    this.#unreadRun = null;
    this.#parts.progress.handled = true;
    takeInheritance(this.#parts, inheritance, this.#requiresEncryption());
    for (const judge of this.#unjudged.splice(0)) judge();
  }

  #count(): void {
    this.#parts.progress.handled = true;
    this.#parts.counters.signals++;
  }

  /** Runs at once, but in an heir only after it has read its inheritance. */
  #onceInherited(judge: () => void): void {
    if (this.isWaitingForInheritance) this.#unjudged.push(judge);
    else judge();
  }
}

/** Anybody can send a signal, with anything in it. */
function isDelay(waitedMs: unknown): waitedMs is number {
  return typeof waitedMs === 'number' && waitedMs > 0;
}
