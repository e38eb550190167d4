import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { runCommand } from '../support/commandHost.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const root = fileURLToPath(new URL('../..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'ktb-docs-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** The shell blocks of a page, in their order. */
const blocks = (page: string): string[] =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].map(([, block]) => block ?? '');

/** As a person at a terminal: with job control, in the folder of the repository. */
async function bash(script: string): Promise<string> {
  const file = join(directory, 'script.sh');
  // Without a terminal bash takes no -m; as a command it does.
  writeFileSync(file, `set -m\n${script}`);
  try {
    const { stdout } = await promisify(execFile)('bash', ['-e', file], { cwd: directory, timeout: 240_000 });
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${String(error)}\n${stdout}\n${stderr}`, { cause: error });
  }
}

/** The arguments of a command line, as a shell takes them apart. */
async function wordsOf(command: string): Promise<string[]> {
  const words = await bash(`ktb() { printf '%s\\0' "$@"; }\n${command}`);
  return words.split('\0').slice(0, -1);
}

it('the tutorial does what it says, from the pipeline to the kill; then every command of the other pages can be meant', async () => {
  for (const name of ['dist', 'examples', 'node_modules', 'package.json'])
    symlinkSync(join(root, name), join(directory, name));
  const { kafka, temporal, clickhouse } = stack();
  const addresses = {
    // The killed daemon's partitions are given away after this time.
    kafka: { brokers: kafka.brokers, sessionTimeout: '6s' },
    temporal: { address: temporal.address },
    clickhouse: { url: clickhouse.url },
    http: { listen: '127.0.0.1:0' },
  };
  const config = join(directory, 'ktb.yaml');
  writeFileSync(config, stringify(addresses));

  // The first block starts the stack, which runs already.
  const [start, ...steps] = blocks('docs/getting-started.md');
  expect(start).toContain('npm run stack');
  const output = await bash(steps.join('\n'));
  expect(output).toContain('{ inserted: 1000 }');
  expect(output).toMatch(/c0\t20\t/);
  expect(output).toContain("'rejected (not_json)': 1");
  expect(output).toContain('no JSON');
  expect(output).toContain('51000\t51000');

  const commands = ['README.md', 'docs/commands.md', 'docs/operations.md']
    .flatMap(blocks)
    .flatMap((block) => block.split('\n'))
    .map((line) => line.trim().replace(/ +# .*$/, ''))
    // The servers run until they are ended.
    .filter((line) => line.startsWith('ktb ') && !/^ktb (run|codec-server)\b/.test(line));
  expect(commands.length).toBeGreaterThan(15);
  for (const command of new Set(commands)) {
    const { code, output: said } = await runCommand([...(await wordsOf(command)), '--config', config]);
    expect([0, 1], `${command}\n${said}`).toContain(code);
  }
}, 480_000);
