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
import type { Inheritance } from '../protocol/inheritance.js';
import type { Leftover } from '../protocol/leftover.js';
import type { BatcherParts } from './batcherParts.js';
import { restoreInherited } from './carriedState.js';
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
 */
export function joinInheritances(earlier: Inheritance, later: Inheritance): Inheritance {
  const onlyEarlier = earlier.trusted === true && later.trusted !== true;
  const { trusted: _, settings = earlier.settings, ...believed } = onlyEarlier ? earlier : later;
  const coverage = new Coverage(earlier.coverage);
  if (!onlyEarlier) coverage.addAll(later.coverage);
  const doubtful = new Coverage(earlier.doubtful);
  doubtful.addAll(later.doubtful ?? []);
  if (onlyEarlier) doubtful.addAll(later.coverage);
  const counters = { ...NO_COUNTERS };
  addCounters(counters, earlier.counters);
  addCounters(counters, later.counters);
  const lost = (earlier.lost ?? 0) + (later.lost ?? 0);
  return {
    ...believed,
    coverage: coverage.toState(),
    ...(doubtful.size === 0 ? {} : { doubtful: doubtful.toState() }),
    counters,
    estates: [...earlier.estates, ...(onlyEarlier ? later.estates.map(withoutBegun) : later.estates)],
    ...(earlier.trusted === true ? { trusted: true } : {}),
    ...(settings === undefined ? {} : { settings }),
    ...(lost > 0 ? { lost } : {}),
  };
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
      doubtful: [...inheritance.coverage, ...doubtful],
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
