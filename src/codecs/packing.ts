/*
 * Values as MessagePack in a Zstandard frame: the bodies of chunks, and rejected records.
 */
import { Packr, RESET_BUFFER_MODE } from 'msgpackr';
import { compress, decompress } from './compression.js';

/** msgpackr packs into a buffer that it keeps for the process, with up to four times the bytes of the largest value. */
const BUFFER_BYTES = 8 * 1024;

/** A chunk of several records has less. So the buffer is only given up for a value that is large and rare. */
const KEPT_FOR_BYTES_MAX = 2 * 1024 * 1024;

const packr = new Packr({ useRecords: false });

export function packCompressed(value: unknown): Buffer {
  // What is packed is compressed at once, so the next value may be packed into the same buffer.
  const packed = packr.pack(value, RESET_BUFFER_MODE);
  const compressed = compress(packed);
  if (packed.length > KEPT_FOR_BYTES_MAX) packr.useBuffer(Buffer.allocUnsafeSlow(BUFFER_BYTES));
  return compressed;
}

/** The opposite of {@link packCompressed}. Throws if the bytes are damaged. */
export function unpackCompressed(bytes: Uint8Array): unknown {
  return packr.unpack(decompress(bytes));
}
