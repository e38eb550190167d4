/*
 * What a batcher believes once its settings require encryption. Pure.
 *
 * Whoever may write to the namespace may start a batcher, or send it something before its settings say so. If that filled
 * the coverage, the records of consumers would count as accepted already, and be lost. So what came encrypted is also noted
 * by itself, while anything else has come:
 *
 *     all encrypted ──anything else──► mixed ──settings require it──► all encrypted
 */
import type { AcceptedChunk } from '../protocol/batcher.js';
import type { OffsetRange, Segment } from '../protocol/chunk.js';
import type { Inheritance, Unreported } from '../protocol/inheritance.js';
import type { Leftover } from '../protocol/leftover.js';
import { newParts, type BatcherParts } from './batcherParts.js';
import { countForgotten, restoreInherited, toCarried, toInheritance } from './carriedState.js';
import { addCounters, NO_COUNTERS } from './counters.js';
import { Coverage, isWhole } from './coverage.js';

/** The run begins with nothing but what came encrypted. */
export function trustAll(parts: BatcherParts): void {
  parts.encryptedCoverage = null;
  parts.controls.trustAll();
}

/** The run before it has handed these chunks on, and says of each how it came. */
export function trustEncrypted(parts: BatcherParts, chunks: readonly AcceptedChunk[]): void {
  for (const { segments, encrypted, acceptedAtMs } of chunks)
    if (encrypted === true) parts.encryptedCoverage?.accept(segments, acceptedAtMs);
}

/** To be called before the coverage has these segments. Without any: for something else that was sent. */
export function noteOrigin(parts: BatcherParts, encrypted: boolean, segments: readonly Segment[], nowMs: number): void {
  if (!encrypted) parts.encryptedCoverage ??= new Coverage(parts.coverage.toState());
  else parts.encryptedCoverage?.accept(segments, nowMs);
}

/**
 * From now on encryption is required. What did not come encrypted is no longer believed. Chunks stay, each with what is
 * known of how it came: a worker holds those that did not come encrypted.
 *
 * @param epoch for the requests to come
 */
export function believeOnlyEncrypted(parts: BatcherParts, epoch: string): void {
  if (parts.encryptedCoverage === null) return;
  parts.doubtful.addAll(parts.coverage.toState());
  parts.coverage = parts.encryptedCoverage;
  parts.encryptedCoverage = null;
  parts.requests = parts.requests.withoutNames(epoch);
  parts.controls.believeOnlyEncrypted();
  parts.leftovers.forgetBegun();
  // What has come since is among it.
  parts.buffer.doubt();
}

/**
 * Whether some of these ranges were accepted once, which is not believed any more. A consumer sends them again if their
 * offsets were not committed, and they may have been inserted meanwhile.
 */
export function isDoubtful({ doubtful }: BatcherParts, segments: readonly Segment[], keep: Kept): boolean {
  if (doubtful.size === 0) return false;
  return segments.some((segment, index) => {
    const ranges = keep[index] ?? [[segment.from, segment.to] as const];
    return ranges.some((range) => !isWhole(doubtful.uncovered(segment, range), range));
  });
}

/** Of each segment the ranges that are new. Null: all of it. */
type Kept = readonly (readonly OffsetRange[] | null)[];

/**
 * What two closed runs have left, of which the later one had not taken over what the earlier one had left. If only the
 * earlier one is known to have taken nothing but what came encrypted, it alone is believed.
 *
 * Each of the two fits into a payload. If both together do not, something is forgotten, as from one run to the next: the
 * partitions without a record for the longest time, never what is to be flushed.
 *
 * @param payloadBytesMax what the server takes
 */
export function joinInheritances(earlier: Inheritance, later: Inheritance, payloadBytesMax: number): Inheritance {
  const onlyEarlier = earlier.trusted === true && later.trusted !== true;
  const { trusted: _, settings, ...believed } = onlyEarlier ? earlier : { ...earlier, ...later };
  const coverage = new Coverage(earlier.coverage);
  if (!onlyEarlier) coverage.addAll(later.coverage);
  const doubtful = new Coverage(earlier.doubtful);
  doubtful.addAll(later.doubtful ?? []);
  if (onlyEarlier) doubtful.addAll(later.coverage);
  const counters = { ...NO_COUNTERS };
  addCounters(counters, earlier.counters);
  addCounters(counters, later.counters);
  const parts = newParts(NO_RUN);
  restoreInherited(parts, {
    ...believed,
    coverage: coverage.toState(),
    doubtful: doubtful.toState(),
    counters,
    estates: [...earlier.estates, ...(onlyEarlier ? later.estates.map(withoutBegun) : later.estates)],
    confirmations: [...(earlier.confirmations ?? []), ...(later.confirmations ?? [])],
  });
  const joined = toInheritance(toCarried(parts, { ...settings, batch: { payloadBytesMax } }, 0));
  return withUnreported(
    {
      ...joined,
      ...(earlier.trusted === true ? { trusted: true } : {}),
      ...(settings === undefined ? {} : { settings }),
    },
    [earlier, later, { forgotten: countForgotten(parts, joined) }],
  );
}

/** The parts of an inheritance are nobody's. */
const NO_RUN = { workflowId: '', runId: '' };

/** An inheritance that says what others have to say, too. */
export function withUnreported(inheritance: Inheritance, others: readonly Unreported[]): Inheritance {
  const sum = (name: keyof Unreported): Unreported => {
    const count = [inheritance, ...others].reduce((total, of) => total + (of[name] ?? 0), 0);
    return count > 0 ? { [name]: count } : {};
  };
  return { ...inheritance, ...sum('lost'), ...sum('forgotten') };
}

function withoutBegun(leftover: Leftover): Leftover {
  return { ...leftover, begun: null };
}

/** Takes over what a closed run has left. If this run requires encryption, only what came encrypted counts. */
export function takeInheritance(parts: BatcherParts, inheritance: Inheritance, requiresEncryption: boolean): void {
  const { coverage, encryptedCoverage } = parts;
  const isTrusted = inheritance.trusted === true;
  if (requiresEncryption && !isTrusted) {
    const { counters, lastFlush, estates, confirmations, doubtful = [] } = inheritance;
    restoreInherited(parts, {
      counters,
      lastFlush,
      estates: estates.map(withoutBegun),
      doubtful: [...doubtful, ...inheritance.coverage],
      ...(confirmations === undefined ? {} : { confirmations }),
    });
    // Chunks that are in the buffer already may be among it.
    if (inheritance.coverage.length > 0) parts.buffer.doubt();
    return;
  }
  restoreInherited(parts, inheritance);
  parts.coverage.addAll(coverage.toState());
  if (isTrusted) parts.controls.trustPaused(inheritance.paused);
  if (!isTrusted) parts.encryptedCoverage ??= coverage;
  else if (encryptedCoverage !== null) {
    parts.encryptedCoverage = new Coverage(inheritance.coverage);
    parts.encryptedCoverage.addAll(encryptedCoverage.toState());
  }
}
