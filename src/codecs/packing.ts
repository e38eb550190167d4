/*
 * Values as MessagePack in a Zstandard frame: the bodies of chunks, and rejected records.
 */
import { Packr, RESET_BUFFER_MODE } from 'msgpackr';
import { compress, decompress } from './compression.js';

/** What the buffer begins with: as much as msgpackr takes by itself. */
const BUFFER_BYTES_MIN = 8 * 1024;

/**
 * A chunk of several records has less: 8 MiB of payload, and what its columns add. No buffer is kept for a value that is
 * larger, because such a record is rare.
 */
const KEPT_FOR_BYTES_MAX = 12 * 1024 * 1024;

const packr = new Packr({ useRecords: false });

/** msgpackr packs into one buffer again and again. A larger one has grown. */
let bufferBytes = BUFFER_BYTES_MIN;

export function packCompressed(value: unknown): Buffer {
  // What is packed is compressed at once, so the next value may be packed into the same buffer.
  const packed = packr.pack(value, RESET_BUFFER_MODE);
  const compressed = compress(packed);
  if (packed.buffer.byteLength > bufferBytes) {
    // A buffer that grows has up to four times the bytes of the value. It is replaced by one that is large enough.
    if (packed.length <= KEPT_FOR_BYTES_MAX)
      bufferBytes = Math.max(bufferBytes, Math.ceil(packed.length * 1.25) + 4096);
    packr.useBuffer(Buffer.allocUnsafeSlow(bufferBytes));
  }
  return compressed;
}

/**
 * How much may be unpacked together. A payload has 2 MiB, and somebody who may write to Temporal can make one of a few kilobytes
 * that takes gigabytes.
 */
export class UnpackRoom {
  #bytes: number;

  /** @param bytes after decompression. The default is more than our largest batch: 64 MiB, and a record of 256 MiB from 0.1.0 */
  constructor(bytes = 512 * 1024 * 1024) {
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  take(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** The opposite of {@link packCompressed}. Throws if the bytes are damaged, or would take more than the room. */
export function unpackCompressed(bytes: Uint8Array, room = new UnpackRoom()): unknown {
  const packed = decompress(bytes, room.bytes);
  room.take(packed.length);
  return packr.unpack(packed);
}
