/**
 * The hash of Kafka's own partitioner (32-bit MurmurHash2, seed 0x9747b28c) as an unsigned number with the sign bit
 * cleared, ready for a modulo. Source: `Utils.murmur2` and `Utils.toPositive` in Apache Kafka.
 *
 * It chooses the batcher of a key and the partition of an acknowledgement. So both agree with what every Kafka client
 * computes. The key is the bytes from `from` up to `to`.
 */
export function murmur2(bytes: Uint8Array, from = 0, to = bytes.length): number {
  const length = to - from;
  let hash = SEED ^ length;
  const rest = length & 3;
  const blockEnd = to - rest;
  for (let at = from; at < blockEnd; at += 4) {
    let block =
      byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24);
    block = Math.imul(block, M);
    block ^= block >>> 24;
    hash = Math.imul(hash, M) ^ Math.imul(block, M);
  }
  if (rest >= 3) hash ^= byte(bytes, blockEnd + 2) << 16;
  if (rest >= 2) hash ^= byte(bytes, blockEnd + 1) << 8;
  if (rest >= 1) hash = Math.imul(hash ^ byte(bytes, blockEnd), M);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  hash ^= hash >>> 15;
  return hash & 0x7fffffff;
}

const SEED = 0x9747b28c;
const M = 0x5bd1e995;

/** There is a byte at every index below the length. The compiler cannot know this. */
function byte(bytes: Uint8Array, index: number): number {
  return bytes[index] as number;
}
