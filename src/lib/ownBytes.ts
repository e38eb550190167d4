/**
 * A copy of bytes that are a part of a larger buffer, such as a broker's answer. For what is kept: a part keeps the whole
 * buffer alive.
 */
export function ownBytes(bytes: Buffer): Buffer;
export function ownBytes(bytes: Buffer | null): Buffer | null;
export function ownBytes(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes);
}
