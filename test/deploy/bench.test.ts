import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BENCHMARK_MS = 200_000;

it(
  'the benchmark measures each of its variants, and ends',
  async () => {
    const args = ['run', 'bench', '--', '--rounds', '1', '--records', '4000', '--single', '20'];
    const { stdout } = await promisify(execFile)('npm', args, { cwd: ROOT, timeout: BENCHMARK_MS });
    for (const variant of ['bridge', 'one record a signal', 'floor'])
      expect(stdout).toMatch(new RegExp(`│ ${variant} `));
    expect(stdout).toMatch(/bridge [^\n]*4,000/);
  },
  BENCHMARK_MS + 10_000,
);
