/**
 * The hash of Kafka's own partitioner (32-bit MurmurHash2, seed 0x9747b28c) as an unsigned number with the sign bit
 * cleared, ready for a modulo. Source: `Utils.murmur2` and `Utils.toPositive` in Apache Kafka.
 *
 * It chooses the batcher of a key and the partition of an acknowledgement. So both agree with what every Kafka client
 * computes.
 */
export function murmur2(key: Uint8Array): number {
  const length = key.length;
  let hash = SEED ^ length;
  const blockEnd = length & ~3;
  for (let at = 0; at < blockEnd; at += 4) {
    let block = byte(key, at) | (byte(key, at + 1) << 8) | (byte(key, at + 2) << 16) | (byte(key, at + 3) << 24);
    block = Math.imul(block, M);
    block ^= block >>> 24;
    hash = Math.imul(hash, M) ^ Math.imul(block, M);
  }
  const rest = length & 3;
  if (rest >= 3) hash ^= byte(key, blockEnd + 2) << 16;
  if (rest >= 2) hash ^= byte(key, blockEnd + 1) << 8;
  if (rest >= 1) hash = Math.imul(hash ^ byte(key, blockEnd), M);
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
