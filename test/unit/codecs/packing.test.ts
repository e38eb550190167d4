import { expect, it, vi } from 'vitest';
import { compress } from '../../../src/codecs/compression.js';
import { packCompressed, unpackCompressed, UnpackRoom } from '../../../src/codecs/packing.js';

const MIB = 1024 * 1024;

it('takes memory for the largest chunk once, and keeps none for a record that is larger', () => {
  const allocated = vi.spyOn(Buffer, 'allocUnsafeSlow');
  const mibTaken = (valueMib: number) => {
    allocated.mockClear();
    const value = Buffer.alloc(valueMib * MIB);
    const [unpacked] = unpackCompressed(packCompressed([value])) as [Buffer];
    expect(Buffer.compare(unpacked, value)).toBe(0);
    return allocated.mock.calls.map(([bytes]) => Math.round(bytes / MIB)).filter((mib) => mib > 0);
  };
  // Other tests may have packed in this process. What it keeps for 12 MiB is the most.
  mibTaken(8);
  expect([mibTaken(8), mibTaken(1), mibTaken(8)]).toEqual([[], [], []]);
  expect(mibTaken(20).at(-1)).toBeLessThanOrEqual(15);
  expect(mibTaken(8)).toEqual([]);
});

/** An array of the same packed element, many times. */
function many(count: number, element: readonly number[]): Buffer {
  const head = Buffer.of(0xdd, 0, 0, 0, 0);
  head.writeUInt32BE(count, 1);
  return compress(Buffer.concat([head, Buffer.alloc(count * element.length, Buffer.from(element))]));
}

it.each([
  ['maps', [0x80]],
  ['maps with a name', [0x81, 0xa1, 0x61, 0]],
  ['arrays', [0x90]],
  ['texts', [0xa2, 0x61, 0x62]],
  ['long texts', [0xd9, 2, 0x61, 0x62]],
  ['bytes', [0xc4, 0]],
  ['floats', [0xcb, 1, 1, 1, 1, 1, 1, 1, 1]],
  ['integers of 64 bits', [0xcf, 255, 0, 0, 0, 0, 0, 0, 1]],
])('refuses %s that would take more memory than the room, however few bytes they are', (_, element) => {
  const packed = many(300_000, element);
  expect(packed.length).toBeLessThan(10_000);
  expect(() => unpackCompressed(packed, new UnpackRoom(8 * MIB, 8 * MIB))).toThrow('its objects would take');
  expect(unpackCompressed(many(1_000, element), new UnpackRoom(8 * MIB, 8 * MIB))).toHaveLength(1_000);
});

it('what is unpacked together shares the room', () => {
  const room = new UnpackRoom(8 * MIB, 8 * MIB);
  const unpack = () => unpackCompressed(many(60_000, [0x80]), room);
  expect(unpack()).toHaveLength(60_000);
  expect(unpack).toThrow('its objects would take');
});

it('refuses what msgpackr alone knows: some of it becomes code', () => {
  // A date, and the definition of a record.
  for (const element of [
    [0xd6, 0xff, 0, 0, 0, 1],
    [0xd4, 0x72, 0x40, 0x90],
  ])
    expect(() => unpackCompressed(many(1, element))).toThrow('an extension');
  expect(unpackCompressed(packCompressed([undefined]))).toEqual([undefined]);
});

it('numbers, texts, bytes and maps of every length are passed over as they are', () => {
  const numbers = [0, 200, 60_000, 4e9, 2 ** 40, -1, -100, -30_000, -2e9, -(2 ** 40), 0.5, 2n ** 60n, -(2n ** 60n)];
  const lengths = [0, 1, 31, 32, 300, 70_000];
  const value = [
    ...numbers,
    ...[null, true, false],
    ...lengths.map((length) => 'x'.repeat(length)),
    ...lengths.map((length) => Buffer.alloc(length, 1)),
    ...lengths.map((length) => new Array<number>(length).fill(1)),
    ...[0, 1, 31, 300].map((length) => Object.fromEntries(Array.from({ length }, (_, at) => [`n${at}`, 1]))),
  ];
  expect(unpackCompressed(packCompressed(value))).toEqual(value);
});
