import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import type { Run } from '../../bench/run.js';
import { eventually } from '../support/eventually.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BENCHMARK_MS = 280_000;
/** A quarter of what is measured on a machine that does nothing else. */
const RATIO_TO_FLOOR_MIN = 0.1;

it(
  'the benchmark measures each of its variants, and the bridge is not many times slower than its floor',
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ktb-bench-test-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'run.json');
    // To build the peer may take minutes, and downloads a lot.
    const args = ['--rounds', '1', '--records', '40000', '--single', '20', '--no-peer', '--json', file];
    const { stdout } = await promisify(execFile)('npm', ['run', 'bench', '--', ...args], {
      cwd: ROOT,
      timeout: BENCHMARK_MS,
    });
    const { drains } = JSON.parse(readFileSync(file, 'utf8')) as Run;
    const rateOf = (name: string): number => drains.find(({ variant }) => variant === name)?.recordsPerSecond ?? NaN;
    for (const variant of ['bridge', 'one record a signal', 'floor']) {
      expect(stdout).toMatch(new RegExp(`│ ${variant} `));
      expect(rateOf(variant)).toBeGreaterThan(0);
    }
    expect(rateOf('bridge') / rateOf('floor')).toBeGreaterThan(RATIO_TO_FLOOR_MIN);
    expect(drains[0]?.counts?.signals).toBeGreaterThan(0);
  },
  BENCHMARK_MS + 10_000,
);

it(
  'a benchmark that is killed in the midst of a drain leaves nothing behind',
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'ktb-bench-test-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
    const args = ['--rounds', '1', '--records', '200000', '--single', '0', '--no-peer', '--data', directory];
    const bench = spawn(process.execPath, ['--import', loader, join(ROOT, 'bench/index.ts'), ...args], {
      stdio: 'ignore',
      // tsx keeps a folder of its own there.
      env: { ...process.env, TMPDIR: directory, TSX_DISABLE_CACHE: '1' },
    });
    onTestFinished(() => void bench.kill('SIGKILL'));
    const remains = (): string[] => readdirSync(directory).map((name) => name.replace(/-[^-]*$/, ''));
    await eventually(() => expect(remains().sort()).toEqual(['ktb-bench', 'ktb-stack']), BENCHMARK_MS / 2);
    bench.kill('SIGKILL');
    await eventually(() => expect(remains()).toEqual([]));
  },
  BENCHMARK_MS,
);
