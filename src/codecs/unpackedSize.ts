/*
 * How much memory MessagePack will take once it is unpacked. A byte may become an object of a hundred bytes, so the packed
 * bytes say nothing.
 */

/** Of a value by itself, besides its place in an array. Measured with Node 20, rounded up. */
const NUMBER_BYTES = 32;
const TEXT_BYTES = 32;
const ARRAY_BYTES = 48;
const MAP_BYTES = 64;
/** A part of the packed bytes, with the copy that a header's value gets, and the pair of its name and value. */
const BINARY_BYTES = 384;

/** In an array, and in a map with all that its name may take. */
const SLOT_BYTES = 8;
const ENTRY_BYTES = 96;

/** Of each byte of a text, which may become two. */
const CHARACTER_BYTES = 2;

/**
 * About how many bytes the objects of a packed value take, besides the packed bytes. It passes over the tokens once, in
 * their order: what is in an array or a map follows it.
 *
 * @throws Error for an extension. msgpackr knows some that make other objects, or code. We write none but `undefined`
 */
export function unpackedSize(packed: Uint8Array): number {
  const { length } = packed;
  let size = 0;
  let at = 0;
  while (at < length) {
    const token = packed[at++] as number;
    if (token < 0x80 || token >= 0xe0) continue;
    if (token < 0x90) size += MAP_BYTES + (token - 0x80) * ENTRY_BYTES;
    else if (token < 0xa0) size += ARRAY_BYTES + (token - 0x90) * SLOT_BYTES;
    else if (token < 0xc0) {
      size += TEXT_BYTES + (token - 0xa0) * CHARACTER_BYTES;
      at += token - 0xa0;
    } else {
      const bytes = BYTES_AFTER[token - 0xc0] as number;
      switch (token) {
        case 0xc4:
        case 0xc5:
        case 0xc6:
          size += BINARY_BYTES;
          at += numberAt(packed, at, bytes);
          break;
        case 0xd9:
        case 0xda:
        case 0xdb: {
          const characters = numberAt(packed, at, bytes);
          size += TEXT_BYTES + characters * CHARACTER_BYTES;
          at += characters;
          break;
        }
        case 0xdc:
        case 0xdd:
          size += ARRAY_BYTES + numberAt(packed, at, bytes) * SLOT_BYTES;
          break;
        case 0xde:
        case 0xdf:
          size += MAP_BYTES + numberAt(packed, at, bytes) * ENTRY_BYTES;
          break;
        case 0xca:
        case 0xcb:
        case 0xce:
        case 0xcf:
        case 0xd3:
          size += NUMBER_BYTES;
          break;
        case UNDEFINED:
          if (packed[at] !== 0) throw new Error(`an extension ${packed[at]}`);
          break;
        default:
          if (bytes === EXTENSION) throw new Error(`an extension (${token.toString(16)})`);
      }
      at += bytes;
    }
  }
  return size;
}

const UNDEFINED = 0xd4;
const EXTENSION = 255;

/** By token, from 0xc0 on: how many bytes of a number or a length follow it. */
const BYTES_AFTER = Uint8Array.of(
  ...[0, 0, 0, 0], // null, not used, false, true
  ...[1, 2, 4], // bytes
  ...[EXTENSION, EXTENSION, EXTENSION],
  ...[4, 8], // floats
  ...[1, 2, 4, 8, 1, 2, 4, 8], // integers
  ...[2, EXTENSION, EXTENSION, EXTENSION, EXTENSION],
  ...[1, 2, 4], // texts
  ...[2, 4], // arrays
  ...[2, 4], // maps
);

function numberAt(packed: Uint8Array, at: number, bytes: number): number {
  let number = 0;
  for (let index = at; index < at + bytes; index++) number = number * 256 + (packed[index] ?? 0);
  return number;
}
