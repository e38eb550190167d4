import { statfs } from 'node:fs/promises';
import type { Stack } from '../stack/index.js';

/**
 * Where the parts of the stack keep their data while they are measured. In memory the figures are those of the programs:
 * ext4 does not use an inode again for 5 s, and to look for another one takes half of ClickHouse's processor time where
 * inserts are small and many.
 */
export type DataPlace = 'memory' | 'disk' | 'containers';

const MEMORY = '/dev/shm';
/**
 * A run with a sweep has 2 GiB of data, and its processes take as much. Linux gives this file system half of the machine's
 * memory, so twice as much is there.
 */
const FREE_BYTES_MIN = 8 * 1024 ** 3;
/** Of Linux's tmpfs. */
const TMPFS_TYPE = 0x01021994;

/** What is asked about a directory's file system. */
export interface FileSystem {
  readonly isMemory: boolean;
  readonly freeBytes: number;
}

/**
 * The directory in which the stack is to keep its data. Undefined: the system's one for temporary files.
 *
 * @param wanted a directory, or `disk`. Undefined: memory, if there is a file system in memory with enough room
 */
export async function dataDirectory(wanted: string | undefined, ask = fileSystemOf): Promise<string | undefined> {
  if (wanted !== undefined) return wanted === 'disk' ? undefined : wanted;
  const { isMemory, freeBytes } = await ask(MEMORY);
  return isMemory && freeBytes >= FREE_BYTES_MIN ? MEMORY : undefined;
}

/** Where a stack that runs has its data. */
export async function dataPlaceOf({ flavour, dataDir }: Stack): Promise<DataPlace> {
  if (flavour === 'docker') return 'containers';
  return (await fileSystemOf(dataDir)).isMemory ? 'memory' : 'disk';
}

async function fileSystemOf(directory: string): Promise<FileSystem> {
  try {
    const { type, bavail, bsize } = await statfs(directory);
    return { isMemory: type === TMPFS_TYPE, freeBytes: bavail * bsize };
  } catch {
    return { isMemory: false, freeBytes: 0 }; // There is none, as on macOS.
  }
}
