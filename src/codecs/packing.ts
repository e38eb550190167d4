/*
 * Values as MessagePack in a Zstandard frame: the bodies of chunks, and rejected records.
 */
import { Packr, RESET_BUFFER_MODE } from 'msgpackr';
import { compress, decompress } from './compression.js';
import { unpackedSize } from './unpackedSize.js';

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
 * How much may be unpacked together. A payload has 2 MiB, and somebody who may write to Temporal can make one of some hundred
 * bytes that takes gigabytes: zeros are compressed, and a byte may become an object.
 */
export class UnpackRoom {
  #bytes: number;
  #objectBytes: number;

  /**
   * The defaults are more than our largest batch: 64 MiB, and a record of 256 MiB from 0.1.0. It has
   * four million headers at most, each with some 450 bytes of objects.
   *
   * @param bytes after decompression
   * @param objectBytes that all objects take besides, see `unpackedSize`
   */
  constructor(bytes = 512 * 1024 * 1024, objectBytes = 4 * bytes) {
    this.#bytes = bytes;
    this.#objectBytes = objectBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get objectBytes(): number {
    return this.#objectBytes;
  }

  take(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** @throws RangeError if there is no room for so many */
  takeObjects(bytes: number): void {
    if (bytes > this.#objectBytes)
      throw new RangeError(`its objects would take ${bytes} bytes; ${this.#objectBytes} are taken`);
    this.#objectBytes -= bytes;
  }
}

/** The opposite of {@link packCompressed}. Throws if the bytes are damaged, or would take more than the room. */
export function unpackCompressed(bytes: Uint8Array, room = new UnpackRoom()): unknown {
  const packed = decompress(bytes, room.bytes);
  room.take(packed.length);
  room.takeObjects(unpackedSize(packed));
  return packr.unpack(packed);
}
