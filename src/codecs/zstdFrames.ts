/** Bytes that are no frames of Zstandard. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

export interface ZstdFrame {
  readonly start: number;
  readonly end: number;
  /** Lower and upper bound of its decompressed size, in bytes. */
  readonly bytesMin: number;
  readonly bytesMax: number;
}

const ZSTD_MAGIC = 0xfd2fb528;
const ZSTD_BLOCK_BYTES_MAX = 128 * 1024;

/**
 * The frames and bounds of their decompressed sizes, from the headers of their blocks. Raw and repeated blocks say
 * their size. A compressed block has 128 KiB at most. Up to three bytes at the end are no frame, and are passed over.
 *
 * Source: RFC 8878, 3.1.1.
 *
 * @throws FrameError
 */
export function zstdFrames(data: Buffer): ZstdFrame[] {
  let at = 0;
  const skip = (length: number): number => {
    const from = at;
    if (length > data.length - from)
      throw new FrameError(`${length} bytes are due where ${data.length - from} are left`);
    at += length;
    return from;
  };
  const frames: ZstdFrame[] = [];
  while (data.length - at >= 4) {
    const start = at;
    const magic = data.readUInt32LE(skip(4));
    if ((magic & 0xfffffff0) >>> 0 === 0x184d2a50) {
      skip(data.readUInt32LE(skip(4)));
      continue;
    }
    let known = 0;
    let compressed = 0;
    if (magic !== ZSTD_MAGIC) throw new FrameError('a frame does not begin as one of Zstandard');
    const descriptor = data.readUInt8(skip(1));
    const singleSegment = (descriptor & 0x20) !== 0;
    const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][(descriptor >> 6) & 3] as number;
    skip((singleSegment ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] as number));
    const contentSize = contentSizeAt(data, skip(contentSizeBytes), contentSizeBytes);
    for (let last = false; !last;) {
      const header = data.readUIntLE(skip(3), 3);
      last = (header & 1) !== 0;
      const size = header >>> 3;
      const type = (header >>> 1) & 3;
      skip(type === 1 ? 1 : size);
      if (type === 2) compressed++;
      else known += size;
    }
    if (descriptor & 0x04) skip(4);
    const bytesMin = Math.max(known, contentSize);
    frames.push({ start, end: at, bytesMin, bytesMax: known + compressed * ZSTD_BLOCK_BYTES_MAX });
  }
  return frames;
}

/** The decompressed size that a frame states. 0 if it does not. */
function contentSizeAt(data: Buffer, at: number, bytes: number): number {
  if (bytes === 8) return Number(data.readBigUInt64LE(at));
  return bytes === 0 ? 0 : data.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0);
}
