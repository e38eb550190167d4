import { expect, it } from 'vitest';
import { flatness, type ProcessSample } from '../../../chaos/flatness.js';

const MIB = 1024 ** 2;

/** A look a second, for two minutes. */
function samples(of: (second: number) => Partial<ProcessSample>): ProcessSample[] {
  return Array.from({ length: 120 }, (_, second) => ({ atMs: second * 1_000, name: 'daemon-1', ...of(second) }));
}

it('finds memory, open files, cached workflows and histories that grow', () => {
  const growing = (of: (second: number) => Partial<ProcessSample>) => flatness(samples(of)).growing;
  expect(growing((second) => ({ bytes: 300 * MIB + second * MIB }))).toHaveLength(1);
  expect(growing((second) => ({ handles: 400 + second }))).toHaveLength(1);
  expect(growing((second) => ({ cached: 4 + Math.floor(second / 20) }))).toHaveLength(1);
  expect(growing((second) => ({ historyBytes: second * 0.1 * MIB }))).toHaveLength(1);
});

it('lets pass what grows at the start, goes up and down, or begins anew', () => {
  const { checked, growing } = flatness(
    samples((second) => ({
      bytes: (second < 30 ? 200 + second * 5 : 350 + (second % 7) * 10) * MIB,
      handles: 400 + (second % 5),
      cached: 4,
      historyBytes: (second % 20) * 0.2 * MIB,
    })),
  );
  expect(growing).toEqual([]);
  expect(checked).toBe(480);
});

it('says nothing good of too few looks', () => {
  expect(flatness(samples(() => ({ handles: 4 })).slice(0, 10)).growing).toEqual([
    'daemon-1: only 10 looks at open files',
  ]);
});
