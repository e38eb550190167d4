import crc32 from 'crc-32';
import {
  BATCHER_FORMAT,
  type BatcherInput,
  type CloseRequest,
  CONTROL_ACTIONS,
  type ControlAction,
  type ControlRequest,
  BATCHER,
} from '../protocol/batcher.js';
import { CHUNK_FORMAT, type ChunkMeta, type Segment } from '../protocol/chunk.js';
import { isRefused, purposeOf, PURPOSES, signalIdOf } from '../protocol/encryption.js';
import { isRequest, type RowRequest } from '../protocol/request.js';
import { FOLLOWS_ALL, leaveMark, type Follows } from './versions.js';

/** The state that signals change. */
interface SignalTarget {
  readonly refusesUnencrypted: boolean;
  accept(meta: ChunkMeta, body: Uint8Array, nowMs: number, encrypted: boolean): void;
  submit(request: RowRequest, nowMs: number, follows: Follows, encrypted: boolean): void;
  control(action: ControlAction, request: ControlRequest, nowMs: number, encrypted: boolean): void;
  close(request: CloseRequest, encrypted: boolean): void;
  isNewControl(id: string, request: ControlRequest): boolean;
  countRefusedSignal(): void;
  countForeignSignal(): void;
}

/**
 * Applies one signal, whatever its name, to the state. The workflow and the reader of its history both use this
 * function, with the signals in the same order.
 *
 * A signal that was not encrypted with our key, for this batcher and as this signal, is refused: always if it is encrypted,
 * and otherwise if the batcher takes no others. So is a person's signal that is sent again. It becomes a foreign signal.
 *
 * @returns false for a foreign signal
 * @throws Error for a chunk of ours that cannot be understood. It fails the workflow task, visibly, until a worker runs
 *   that understands the chunk. To drop the chunk would lose records whose offsets are committed
 * @param follows what the worker that first handled this signal did. Asked only for requests
 */
export function applySignal(
  target: SignalTarget,
  name: string,
  args: readonly unknown[],
  nowMs: number,
  follows: Follows = FOLLOWS_ALL,
): boolean {
  const [first, second] = args;
  const sealed = sealOf(name, args);
  const encrypted = sealed.type === 'right';
  if (sealed.type === 'wrong' || (target.refusesUnencrypted && !encrypted) || isRepeated(target, name, first, sealed)) {
    target.countRefusedSignal();
    target.countForeignSignal();
    return false;
  }
  if (isControl(name, first)) {
    target.control(name as ControlAction, toControlRequest(first), nowMs, encrypted);
  } else if (name === BATCHER.signals.close && isCloseRequest(first)) {
    // Nothing has such a long name, so there is nothing to close, and the name must not be kept.
    if (Math.max(first.topic.length, first.epoch.length) <= NAME_CHARACTERS_MAX) target.close(first, encrypted);
  } else if (name === BATCHER.signals.records && isChunk(first, second)) {
    checkChunk(first, second as Uint8Array);
    target.accept(first, second as Uint8Array, nowMs, encrypted);
  } else if (name === BATCHER.signals.submit && isRequest(first)) {
    leaveMark(follows, 'requests');
    target.submit(first, nowMs, follows, encrypted);
  } else {
    target.countForeignSignal();
    return false;
  }
  return true;
}

/** How a signal came encrypted. `wrong`: in part, for another batcher, or as something else. */
type Seal = { readonly type: 'right'; readonly id: string | null } | { readonly type: 'none' | 'wrong' };

function sealOf(name: string, args: readonly unknown[]): Seal {
  if (args.some(isRefused)) return { type: 'wrong' };
  const purposes = args.map(purposeOf);
  if (purposes.every((purpose) => purpose === null)) return { type: 'none' };
  if (name === BATCHER.signals.submit)
    return purposes.every((purpose) => purpose === PURPOSES.request) ? { type: 'right', id: null } : { type: 'wrong' };
  const isOurs = OUR_SIGNALS.includes(name);
  const id = isOurs ? signalIdOf(name, args) : null;
  const isRight = isOurs ? id !== null : !purposes.includes(null);
  return isRight ? { type: 'right', id } : { type: 'wrong' };
}

const OUR_SIGNALS: readonly string[] = Object.values(BATCHER.signals);

/** Whether it is a person's signal that this run has had, or that was for another run. */
function isRepeated(target: SignalTarget, name: string, request: unknown, seal: Seal): boolean {
  return (
    seal.type === 'right' &&
    seal.id !== null &&
    isControl(name, request) &&
    !target.isNewControl(seal.id, toControlRequest(request))
  );
}

/**
 * Characters that are kept of a control signal's sender and reason. Both are carried from run to run, and each
 * rejection of a parked batch has the reason.
 */
const CONTROL_CHARACTERS_MAX = 500;
/** Characters of a topic (Kafka's own bound) and of an epoch that can be closed. */
const NAME_CHARACTERS_MAX = 249;

/** A `park` has to name the batch. Without a number it is a foreign signal. */
function isControl(name: string, request: unknown): boolean {
  if (!CONTROL_ACTIONS.includes(name as ControlAction)) return false;
  return name !== BATCHER.signals.park || toControlRequest(request).batch !== undefined;
}

/** Whether it is a chunk of ours, of any version. Anything else under the name of our signal is foreign. */
function isChunk(meta: unknown, body: unknown): meta is ChunkMeta {
  return (
    typeof meta === 'object' &&
    meta !== null &&
    'format' in meta &&
    typeof meta.format === 'string' &&
    meta.format.startsWith('ktb-chunk/') &&
    body instanceof Uint8Array &&
    (meta.format !== CHUNK_FORMAT || hasSegments(meta))
  );
}

/** Whether a chunk has everything that a batcher needs to judge it. */
function hasSegments(meta: Partial<Record<keyof ChunkMeta, unknown>>): boolean {
  const { records, bytes, segments } = meta;
  if (![records, bytes].every(Number.isSafeInteger) || !Array.isArray(segments)) return false;
  return segments.every((segment: unknown) => {
    const { topic, epoch, partition, from, to } = (segment ?? {}) as Partial<Record<keyof Segment, unknown>>;
    return typeof topic === 'string' && typeof epoch === 'string' && [partition, from, to].every(Number.isSafeInteger);
  });
}

function isCloseRequest(request: unknown): request is CloseRequest {
  const { topic, partition, epoch, offset } = (request ?? {}) as Partial<Record<keyof CloseRequest, unknown>>;
  return (
    typeof topic === 'string' &&
    typeof partition === 'number' &&
    typeof epoch === 'string' &&
    Number.isSafeInteger(offset)
  );
}

/** @throws Error if the chunk is of another version, or its body is damaged */
function checkChunk(meta: ChunkMeta, body: Uint8Array): void {
  const format: string = meta.format;
  if (format !== CHUNK_FORMAT) throw new Error(`a chunk of format ${format}; this worker knows ${CHUNK_FORMAT}`);
  if (crc32.buf(body) !== meta.crc32) throw new Error('a chunk whose checksum does not match its body');
}

/** @throws Error if a newer version has written the state */
export function checkInput(input: BatcherInput): void {
  const format: string = input.format;
  if (format !== BATCHER_FORMAT) throw new Error(`a batcher of format ${format}; this worker knows ${BATCHER_FORMAT}`);
}

/** Reads a control signal's argument. It may be anything, of any size. */
function toControlRequest(request: unknown): ControlRequest {
  const { actor, reason, batch, run } = (request ?? {}) as Partial<Record<keyof ControlRequest, unknown>>;
  return {
    actor: typeof actor === 'string' ? actor.slice(0, CONTROL_CHARACTERS_MAX) : 'unknown',
    reason: typeof reason === 'string' ? reason.slice(0, CONTROL_CHARACTERS_MAX) : '',
    ...(typeof batch === 'number' ? { batch } : {}),
    ...(typeof run === 'string' ? { run } : {}),
  };
}
