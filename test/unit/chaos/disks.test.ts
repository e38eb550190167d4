import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Disks } from '../../../chaos/disks.js';
import type { Stack } from '../../../stack/stack.js';
import { eventually } from '../../support/eventually.js';

/** A stack that only has data, and a note of what was done to its parts. */
function fakeStack(): { stack: Stack; directory: string; done: string[] } {
  const dataDir = mkdtempSync(join(tmpdir(), 'ktb-disks-'));
  const directory = join(dataDir, 'clickhouse-1');
  mkdirSync(directory);
  writeFileSync(join(directory, 'kept'), 'data');
  onTestFinished(() => rmSync(dataDir, { recursive: true }));
  const done: string[] = [];
  const note = (what: string) => vi.fn(() => Promise.resolve(void done.push(what)));
  const clickhouse = { stop: note('stop'), start: note('start') };
  return { stack: { flavour: 'native', dataDir, parts: { clickhouse } } as unknown as Stack, directory, done };
}

const isMounted = (directory: string): boolean => readFileSync('/proc/mounts', 'utf8').includes(` ${directory} `);

/** Root may not mount in every container. */
function canMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  return spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0;
}

it.skipIf(!canMount())('a part whose disk is full cannot write until it is free again', async () => {
  const { stack, directory, done } = fakeStack();
  const disks = await Disks.mount(stack);
  onTestFinished(() => disks.close());
  expect(disks.owners).toEqual(['clickhouse']);
  expect(done).toEqual(['stop', 'start']);
  expect(readFileSync(join(directory, 'kept'), 'utf8')).toBe('data');
  disks.fill('clickhouse');
  expect(() => writeFileSync(join(directory, 'more'), Buffer.alloc(100_000))).toThrow('ENOSPC');
  disks.free('clickhouse');
  writeFileSync(join(directory, 'more'), Buffer.alloc(100_000));
  await disks.close();
  expect(isMounted(directory)).toBe(false);
});

it.skipIf(!canMount())(
  'a disk is unmounted if the process that has mounted it is killed, at whatever moment',
  async () => {
    const { stack, directory } = fakeStack();
    const module = pathToFileURL(join(import.meta.dirname, '../../../chaos/disks.ts')).href;
    const script = `
    import { Disks } from ${JSON.stringify(module)};
    const part = { stop: async () => undefined, start: async () => undefined };
    await Disks.mount({ flavour: 'native', dataDir: ${JSON.stringify(stack.dataDir)}, parts: { clickhouse: part } });
    setInterval(() => undefined, 1_000);
  `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: 'ignore',
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    await eventually(() => expect(isMounted(directory)).toBe(true));
    child.kill('SIGKILL');
    await once(child, 'exit');
    await eventually(() => expect(isMounted(directory)).toBe(false));
  },
);

it('without native parts there are no disks to fill', async () => {
  const { stack, done } = fakeStack();
  const disks = await Disks.mount({ ...stack, flavour: 'docker' });
  expect(disks.owners).toEqual([]);
  expect(done).toEqual([]);
  await disks.close();
});
