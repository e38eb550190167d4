import { expect, it, vi } from 'vitest';
import { packCompressed, unpackCompressed } from '../../../src/codecs/packing.js';

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
