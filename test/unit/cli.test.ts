import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** Scripts that Node loads for a command line of `ktb`, as its coverage lists them. */
async function loadedBy(args: readonly string[]): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-coverage-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await promisify(execFile)(process.execPath, [CLI, ...args], { env: { ...process.env, NODE_V8_COVERAGE: directory } });
  const files = await readdir(directory);
  const reports = await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')));
  return reports.flatMap((report) =>
    (JSON.parse(report) as { result: { url: string }[] }).result.map(({ url }) => url),
  );
}

it('help and version load no command, and of the libraries only the one that reads command lines', async () => {
  for (const args of [['--help'], ['--version'], ['dlq', 'list', '--help']]) {
    const loaded = await loadedBy(args);
    expect(loaded.some((url) => url.endsWith('/dist/cli.js'))).toBe(true);
    expect(loaded.filter((url) => url.includes('/dist/commands/'))).toEqual([]);
    expect(loaded.filter((url) => url.includes('/node_modules/') && !url.includes('/commander/'))).toEqual([]);
  }
});

it('a command loads what it needs', async () => {
  const loaded = await loadedBy(['config', 'example']);
  expect(loaded.filter((url) => url.includes('/dist/commands/')).length).toBeGreaterThan(0);
});
