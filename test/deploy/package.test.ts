import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();
const root = fileURLToPath(new URL('../..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'ktb-package-'));

/** npm installs some two hundred packages. */
const INSTALL_TEST_MS = 240_000;

afterAll(() => rmSync(directory, { recursive: true }));

it(
  'the package installs globally in an empty folder and runs, workflow bundle included',
  async () => {
    const npm = (...args: string[]) => execFileSync('npm', args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    npm('pack', '--ignore-scripts', '--pack-destination', directory);
    const tarball = readdirSync(directory).find((name) => name.endsWith('.tgz'))!;
    npm('install', '--global', '--prefix', directory, '--no-audit', '--no-fund', join(directory, tarball));
    const ktb = join(directory, 'bin', 'ktb');
    expect(execFileSync(ktb, ['--version']).toString()).toMatch(/^\d+\.\d+\.\d+\n$/);

    // What workflows import is there, for the compiler and for the bundler.
    const installed = join(directory, 'lib');
    expect(existsSync(join(installed, 'node_modules/kafka-temporal-bridge/dist/requester/requester.d.ts'))).toBe(true);
    const script = "import('kafka-temporal-bridge/requester').then(({ submitRow }) => console.log(typeof submitRow))";
    expect(execFileSync(process.execPath, ['-e', script], { cwd: installed }).toString()).toBe('function\n');

    const fixture = await Fixture.create(stack());
    await fixture.collectAcks();
    const config = join(directory, 'ktb.yaml');
    writeFileSync(config, fixture.config());
    const daemon = spawn(ktb, ['run', '--config', config], { stdio: 'ignore' });
    const exited = once(daemon, 'exit');
    try {
      await fixture.produce(1_000);
      await expectExactlyOnce(fixture, { acksOnce: true });
    } finally {
      daemon.kill('SIGTERM');
      await fixture.close();
    }
    expect(await exited).toEqual([0, null]);
  },
  INSTALL_TEST_MS,
);
