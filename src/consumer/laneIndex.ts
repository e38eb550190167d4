import { murmur2 } from '../records/murmur2.js';

/** The batcher of a record: by its key, or by its partition where it has none, so that its order is kept either way. */
export function laneIndex(key: Uint8Array | null, partition: number, batchers: number): number {
  return (key === null ? partition : murmur2(key)) % batchers;
}
