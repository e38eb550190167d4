import type { BufferedChunk } from './chunk.js';

/** A chunk with its records. */
export interface ChunkWithBody<Chunk extends BufferedChunk = BufferedChunk> {
  readonly chunk: Chunk;
  readonly body: Uint8Array;
}

/** Chunks as they travel and are stored: the metadata as JSON, and beside it the bodies as bytes, because JSON has no bytes. */
export interface PackedChunks<Chunk extends BufferedChunk = BufferedChunk> {
  readonly chunks: readonly Chunk[];
  /** The bodies of the chunks, one after the other. */
  readonly bodies: Uint8Array;
}

/** Puts the bodies of chunks one after the other. The body of a single chunk is not copied. */
export function joinBodies(withBodies: readonly { readonly body: Uint8Array }[]): Uint8Array {
  const [only] = withBodies;
  if (only !== undefined && withBodies.length === 1) return only.body;
  const bodies = new Uint8Array(withBodies.reduce((length, { body }) => length + body.length, 0));
  let at = 0;
  for (const { body } of withBodies) {
    bodies.set(body, at);
    at += body.length;
  }
  return bodies;
}

/** The same bytes in a buffer of their own, so that they do not keep a larger one in memory. */
export function inOwnBuffer(bytes: Uint8Array): Uint8Array {
  return bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice();
}

/** Makes chunks ready to travel. The opposite of {@link splitChunks}. */
export function joinChunks<Chunk extends BufferedChunk>(
  withBodies: readonly ChunkWithBody<Chunk>[],
): PackedChunks<Chunk> {
  return { chunks: withBodies.map(({ chunk }) => chunk), bodies: joinBodies(withBodies) };
}

/** Gives each chunk its own body again, in order. The bodies are views, not copies. */
export function splitChunks<Chunk extends BufferedChunk>({
  chunks,
  bodies,
}: PackedChunks<Chunk>): ChunkWithBody<Chunk>[] {
  let at = 0;
  return chunks.map((chunk) => {
    const body = bodies.subarray(at, at + chunk.bodyBytes);
    at += chunk.bodyBytes;
    return { chunk, body };
  });
}
