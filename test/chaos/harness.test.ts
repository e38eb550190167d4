import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RUN_MS = 900_000;

/** What `npm run chaos` prints, and its exit code. */
async function chaos(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'chaos/index.ts', ...args], { cwd: ROOT });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

it(
  'two minutes of faults that a seed has drawn break no promise',
  async () => {
    const { code, output } = await chaos('--seed', '20', '--minutes', '2', '--records', '60000', '--slowness', '4');
    expect(output).toContain('Passed: seed 20.');
    expect(code).toBe(0);
  },
  RUN_MS,
);
