import crc32 from 'crc-32';
import {
  BATCHER_FORMAT,
  type BatcherInput,
  type CloseRequest,
  type ControlAction,
  type ControlRequest,
} from '../records/batcher.js';
import { CHUNK_FORMAT, type ChunkMeta } from '../records/chunk.js';

/** Signals by which a batcher is steered. */
export const CONTROL_ACTIONS: readonly ControlAction[] = ['pause', 'resume', 'flush', 'drain'];

/** Ours, of whatever version: anything else under the name of our signal is a stranger's. */
export function isChunk(meta: unknown, body: unknown): meta is ChunkMeta {
  return (
    typeof meta === 'object' &&
    meta !== null &&
    'format' in meta &&
    typeof meta.format === 'string' &&
    meta.format.startsWith('ktb-chunk/') &&
    body instanceof Uint8Array
  );
}

export function isCloseRequest(request: unknown): request is CloseRequest {
  const { topic, partition, epoch, offset } = (request ?? {}) as Partial<Record<keyof CloseRequest, unknown>>;
  return (
    typeof topic === 'string' &&
    typeof partition === 'number' &&
    typeof epoch === 'string' &&
    Number.isSafeInteger(offset)
  );
}

/** @throws Error for a chunk of another version, or whose body is not what was sent */
export function checkChunk(meta: ChunkMeta, body: Uint8Array): void {
  const format: string = meta.format;
  if (format !== CHUNK_FORMAT) throw new Error(`a chunk of format ${format}; this worker knows ${CHUNK_FORMAT}`);
  if (crc32.buf(body) !== meta.crc32) throw new Error('a chunk whose checksum does not match its body');
}

/** @throws Error for the state of a run that a newer version has written */
export function checkInput(input: BatcherInput): void {
  const format: string = input.format;
  if (format !== BATCHER_FORMAT) throw new Error(`a batcher of format ${format}; this worker knows ${BATCHER_FORMAT}`);
}

/** Whatever a stranger may have sent in its place. */
export function toControlRequest(request: unknown): ControlRequest {
  const { actor, reason } = (request ?? {}) as Partial<Record<keyof ControlRequest, unknown>>;
  return { actor: typeof actor === 'string' ? actor : 'unknown', reason: typeof reason === 'string' ? reason : '' };
}
