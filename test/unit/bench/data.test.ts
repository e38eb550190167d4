import { expect, it, vi } from 'vitest';
import { dataDirectory, type FileSystem } from '../../../bench/data.js';

const GIB = 1024 ** 3;
const answering = (fileSystem: FileSystem) => vi.fn((_directory: string) => Promise.resolve(fileSystem));

it('the data of the measured stack are in memory where there is room for them', async () => {
  const ask = answering({ isMemory: true, freeBytes: 8 * GIB });
  expect(await dataDirectory(undefined, ask)).toBe('/dev/shm');
  expect(ask).toHaveBeenCalledExactlyOnceWith('/dev/shm');
});

it.each([
  ['too little room', { isMemory: true, freeBytes: 8 * GIB - 1 }],
  ['a directory on a disk', { isMemory: false, freeBytes: 100 * GIB }],
])('else they are temporary files: %s', async (_, fileSystem) => {
  expect(await dataDirectory(undefined, answering(fileSystem))).toBeUndefined();
});

it('a directory that is named is taken, and so are temporary files', async () => {
  const ask = answering({ isMemory: true, freeBytes: 100 * GIB });
  expect(await dataDirectory('/mnt/fast', ask)).toBe('/mnt/fast');
  expect(await dataDirectory('disk', ask)).toBeUndefined();
});
