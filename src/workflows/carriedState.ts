import type { CarriedState } from '../protocol/batcher.js';
import { UNKNOWN_RUN } from '../protocol/flush.js';
import type { Inheritance } from '../protocol/inheritance.js';
import type { Leftover } from '../protocol/leftover.js';
import type { BatchLimits } from '../protocol/settings.js';
import type { BatcherParts } from './batcherParts.js';
import { ChunkBuffer } from './chunkBuffer.js';
import { Confirmations } from './confirmations.js';
import { addCounters } from './counters.js';
import { Coverage } from './coverage.js';
import { ForeignSignals } from './foreignSignals.js';
import { encodedJsonBytes } from './encodedJsonBytes.js';
import { Leftovers } from './leftovers.js';
import { encodedLimit, LIMITS, type EncodedLimit } from './limits.js';
import { Requests } from './requests.js';

type Field = keyof CarriedState;
/** The value of a field that is there. */
type Value<F extends Field> = Exclude<CarriedState[F], undefined>;

/** How one field of {@link CarriedState} is written and read. */
interface CarriedField<F extends Field> {
  /**
   * Whether an heir gets it, too. An heir does not need the others, because it takes the records from the closed run's
   * history.
   */
  readonly forHeirs: F extends keyof Inheritance ? true : false;
  /** The most bytes that the field may take. Absent: it is kept whole, whatever its size. */
  readonly bytesMax?: EncodedLimit | 'rest';
  /** Whether it is left out while it is empty. */
  readonly absentIfEmpty?: F extends 'requests' | 'confirmations' | 'doubtful' | 'foreignSignals' ? true : never;
  write(parts: BatcherParts, bytesMax: number): CarriedState[F];
  /** Reads the field into the parts of a new run, or of an heir that has read its inheritance. */
  read(parts: BatcherParts, state: Value<F>, bodies: Uint8Array): void;
}

/**
 * All fields that are handed on, in the order in which they get room within {@link LIMITS.inputBytes}:
 *
 * 1. Kept whole, because records depend on them: the buffer, what closed runs have left, what people have said.
 * 2. What keeps records from being accepted or inserted twice: names of requests, confirmations, the coverage, then what is
 *    doubtful. If there is no room, each forgets its oldest entries.
 * 3. Foreign signals get the rest. They are counted in any case.
 */
const FIELDS: { readonly [F in Field]-?: CarriedField<F> } = {
  chunks: {
    forHeirs: false,
    write: ({ buffer }) => buffer.chunks.map(({ chunk }) => chunk),
    read: ({ buffer }, chunks, bodies) => buffer.restore(chunks, bodies),
  },
  chunksToFlush: {
    forHeirs: false,
    write: ({ buffer }) => buffer.chunksToFlush,
    read: ({ buffer }, chunks) => (buffer.chunksToFlush = chunks),
  },
  bufferRuns: {
    forHeirs: false,
    write({ buffer: { chunks, runs } }) {
      if (chunks.length === 0) return [];
      return runs.length > LIMITS.bufferRuns ? [UNKNOWN_RUN] : runs;
    },
    read: ({ buffer }, runs) => (buffer.earlierRuns = runs),
  },
  // Their name in histories. In code they are leftovers.
  estates: {
    forHeirs: true,
    write: ({ leftovers }) => leftovers.toState(),
    read: (parts, leftovers) => (parts.leftovers = new Leftovers([...leftovers, ...parts.leftovers.toState()])),
  },
  counters: {
    forHeirs: true,
    write: ({ counters }) => ({ ...counters }),
    read: ({ counters }, before) => addCounters(counters, before),
  },
  paused: {
    forHeirs: true,
    write: ({ controls }) => controls.paused,
    read: ({ controls }, paused) => controls.restorePaused(paused),
  },
  draining: {
    forHeirs: false,
    write: ({ controls }) => controls.draining,
    read: ({ controls }, draining) => controls.restoreDraining(draining),
  },
  controls: {
    forHeirs: true,
    write: ({ controls }) => controls.last,
    read: ({ controls }, before) => controls.restoreLast(before),
  },
  lastFlush: {
    forHeirs: true,
    write: ({ flushes }) => flushes.last,
    read: ({ flushes }, last) => (flushes.last = last),
  },
  idleContinuations: {
    forHeirs: false,
    write: ({ progress }) => progress.idleContinuations,
    read: ({ progress }, continuations) => (progress.idleContinuationsBefore = continuations),
  },
  requests: {
    forHeirs: true,
    bytesMax: 'inputRequestsBytes',
    write: ({ requests }, bytesMax) => requests.toState(bytesMax),
    read: (parts, state) => (parts.requests = new Requests(parts.requests.epoch, state)),
  },
  confirmations: {
    forHeirs: true,
    bytesMax: 'inputConfirmationsBytes',
    absentIfEmpty: true,
    write: ({ confirmations }, bytesMax) => confirmations.toState(bytesMax),
    read: (parts, state) => (parts.confirmations = new Confirmations([...state, ...parts.confirmations.toState()])),
  },
  coverage: {
    forHeirs: true,
    bytesMax: 'rest',
    write: ({ coverage }, bytesMax) => coverage.toState(Math.min(bytesMax, Coverage.STATE_BYTES_MAX)),
    read: (parts, state) => (parts.coverage = new Coverage(state)),
  },
  doubtful: {
    forHeirs: true,
    bytesMax: 'rest',
    absentIfEmpty: true,
    write: ({ doubtful }, bytesMax) => doubtful.toState(Math.min(bytesMax, Coverage.STATE_BYTES_MAX)),
    read: ({ doubtful }, state) => doubtful.addAll(state),
  },
  foreignSignals: {
    forHeirs: false,
    bytesMax: 'rest',
    absentIfEmpty: true,
    write: ({ foreignSignals }, bytesMax) => foreignSignals.toState(bytesMax),
    read: (parts, state) => (parts.foreignSignals = new ForeignSignals(state)),
  },
};

const ENTRIES = Object.entries(FIELDS) as readonly [Field, CarriedField<Field>][];

/** Reads what the run before has carried over. `bodies`: the bodies of its chunks, one after the other. */
export function restore(parts: BatcherParts, carried: CarriedState, bodies: Uint8Array): void {
  for (const [name, field] of ENTRIES) {
    const state = carried[name];
    if (state !== undefined) field.read(parts, state, bodies);
  }
}

/** Reads what a closed run has left to its heir, or as much of it as is believed. */
export function restoreInherited(parts: BatcherParts, inheritance: Partial<Inheritance>): void {
  const inherited: Partial<CarriedState> = inheritance;
  for (const [name, field] of ENTRIES) {
    const state = inherited[name];
    if (state !== undefined && field.forHeirs) field.read(parts, state, NO_BODIES);
  }
}

/**
 * What a run carries over.
 *
 * @param settings that travel along
 * @param bodiesBytes of the buffered chunks. They travel in the same payloads and leave less room for the rest
 */
export function toCarried(parts: BatcherParts, settings: WithLimit, bodiesBytes: number): CarriedState {
  const state: Partial<Record<Field, unknown>> = {};
  for (const [name, field] of ENTRIES) if (field.bytesMax === undefined) state[name] = field.write(parts, Infinity);
  let room = encodedLimit('inputBytes', settings.batch) - bodiesBytes - encodedJsonBytes({ ...state, settings });
  for (const [name, field] of ENTRIES) {
    if (field.bytesMax === undefined) continue;
    const bytesMax = field.bytesMax === 'rest' ? Infinity : encodedLimit(field.bytesMax, settings.batch);
    const value = field.write(parts, Math.max(0, Math.min(bytesMax, room - FIELD_BYTES)));
    if (value === undefined) {
      room -= FIELD_BYTES;
      continue;
    }
    room -= FIELD_BYTES + encodedJsonBytes(value);
    if (field.absentIfEmpty !== true || (value as readonly unknown[]).length > 0) state[name] = value;
  }
  return state as unknown as CarriedState;
}

/** Settings, or only what they say of the size of payloads. */
interface WithLimit {
  readonly batch: Pick<BatchLimits, 'payloadBytesMax'>;
}

/**
 * Partitions of which not all that is known is handed on, because there is no room. One counts twice if its coverage is
 * left out, and also what of it is doubtful.
 */
export function countForgotten({ coverage, doubtful }: BatcherParts, handedOn: Inheritance): number {
  return coverage.partitions - handedOn.coverage.length + doubtful.partitions - (handedOn.doubtful?.length ?? 0);
}

/** The parts without the buffer, which stays in the run's history. `left` is the plan for it. */
export function withoutBuffer(parts: BatcherParts, left: Leftover | null): BatcherParts {
  const leftovers = left === null ? parts.leftovers : parts.leftovers.with(left);
  return { ...parts, buffer: new ChunkBuffer([]), leftovers };
}

/** The fields for an heir. */
export function toInheritance(carried: CarriedState): Inheritance {
  const forHeirs = Object.entries(carried).filter(([name]) => FIELDS[name as Field].forHeirs);
  return Object.fromEntries(forHeirs) as unknown as Inheritance;
}

/** A generous estimate for name, punctuation and an empty list of one field. */
const FIELD_BYTES = 100;
const NO_BODIES = new Uint8Array(0);
