import zlib from 'node:zlib';

/**
 * CRC-32 as a signed integer, like that of the package `crc-32`: workflows use it, because they have no zlib. This one
 * takes a third of the time.
 *
 * @param before the checksum of the bytes before these
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  // Of an empty buffer without memory of its own zlib says 0, whatever came before.
  return bytes.length === 0 ? before | 0 : zlib.crc32(bytes, before >>> 0) | 0;
}
