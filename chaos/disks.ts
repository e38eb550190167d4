import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Stack } from '../stack/stack.js';
import type { DiskOwner } from './plan.js';

const OWNERS: readonly DiskOwner[] = ['temporal', 'clickhouse'];
/** More than a run of hours writes there. It takes memory only as far as it is used. */
const BYTES_MAX = 8 * 1024 ** 3;
const FILL_TRIES = 20;

/** A file system of its own in memory, whose size is what it has, or no byte more than what is used. */
interface Disk {
  readonly directory: string;
  /** Unmounts it when this process is gone. */
  readonly guard: ChildProcess;
}

/**
 * The disks of those parts whose disk is to be full at times. They need root on Linux. They are unmounted at the end, also if
 * this process is killed: each has a process of its own that waits for that.
 */
export class Disks {
  readonly #disks: ReadonlyMap<DiskOwner, Disk>;

  private constructor(disks: ReadonlyMap<DiskOwner, Disk>) {
    this.#disks = disks;
  }

  /** Moves the data of the parts there: each is stopped for a moment. Without the right to mount there are none. */
  static async mount(stack: Stack): Promise<Disks> {
    const disks = new Map<DiskOwner, Disk>();
    if (stack.flavour !== 'native' || process.platform !== 'linux' || process.getuid?.() !== 0) return new Disks(disks);
    for (const owner of OWNERS) {
      const name = readdirSync(stack.dataDir).find((each) => each.startsWith(`${owner}-`));
      if (name === undefined) continue;
      await stack.parts[owner].stop();
      const disk = await mountOver(join(stack.dataDir, name));
      if (disk !== undefined) disks.set(owner, disk);
      await stack.parts[owner].start();
    }
    return new Disks(disks);
  }

  static none(): Disks {
    return new Disks(new Map());
  }

  get owners(): DiskOwner[] {
    return [...this.#disks.keys()];
  }

  /** Leaves no byte free. What its owner deletes gets free again. */
  fill(owner: DiskOwner): void {
    const { directory } = this.#disks.get(owner) as Disk;
    for (let tries = 1; ; tries++) {
      const { blocks, bfree, bsize } = statfsSync(directory);
      const problem = resize(directory, (blocks - bfree) * bsize);
      if (problem === undefined) return;
      // Its owner has just written something.
      if (tries === FILL_TRIES) throw new Error(`The disk of ${owner} cannot be made smaller: ${problem}`);
    }
  }

  free(owner: DiskOwner): void {
    const { directory } = this.#disks.get(owner) as Disk;
    const problem = resize(directory, BYTES_MAX);
    if (problem !== undefined) throw new Error(`The disk of ${owner} cannot be made larger: ${problem}`);
  }

  /** The parts lose their data. */
  async close(): Promise<void> {
    for (const { guard } of this.#disks.values()) {
      if (guard.exitCode !== null) continue;
      const ended = once(guard, 'exit');
      guard.ref();
      guard.stdin?.end();
      await ended;
    }
  }
}

/**
 * Mounts a file system over a directory, with what is in it. Undefined if that is not allowed. The guard mounts it itself:
 * so there is no moment in which this process could be killed and the file system would stay.
 */
async function mountOver(directory: string): Promise<Disk | undefined> {
  const kept = mkdtempSync(join(tmpdir(), 'ktb-chaos-disk-'));
  try {
    cpSync(directory, kept, { recursive: true });
    const guard = spawn('sh', ['-c', GUARD, directory, String(BYTES_MAX)], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const isMounted = await Promise.race([
      once(guard.stdout, 'data').then(() => true),
      once(guard, 'exit').then(() => false),
    ]);
    if (!isMounted) return undefined;
    guard.unref();
    // A pipe of a child has the methods of a socket, which its type does not say.
    for (const pipe of [guard.stdin, guard.stdout]) (pipe as unknown as { unref(): void }).unref();
    cpSync(kept, directory, { recursive: true });
    return { directory, guard };
  } finally {
    rmSync(kept, { recursive: true });
  }
}

/** Mounts, says so, and unmounts when its input ends: a pipe that only this process holds open. */
const GUARD = `
  trap '' INT TERM HUP
  mount -t tmpfs -o "size=$1" tmpfs "$0" || exit 1
  echo mounted
  read _
  umount -l "$0"
`;

/** What is wrong, undefined if nothing is. */
function resize(directory: string, bytes: number): string | undefined {
  const done = spawnSync('mount', ['-o', `remount,size=${bytes}`, directory], { encoding: 'utf8' });
  return done.status === 0 ? undefined : done.stderr.trim();
}
