import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** Scripts that Node loads for a command line of `ktb`, as its coverage lists them, however the command ends. */
async function loadedBy(args: readonly string[]): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-coverage-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const env = { ...process.env, NODE_V8_COVERAGE: directory };
  await once(spawn(process.execPath, [CLI, ...args], { env, stdio: 'ignore' }), 'close');
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

it('ends without a word where nobody reads its output any more', async () => {
  const child = spawn(process.execPath, [CLI, 'config', 'example'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said += data.toString()));
  const [code] = (await once(child, 'close')) as [number];
  expect({ code, said }).toEqual({ code: 141, said: '' });
});

it('a command loads what it needs', async () => {
  const loaded = await loadedBy(['config', 'example']);
  expect(loaded.filter((url) => url.includes('/dist/commands/')).length).toBeGreaterThan(0);
});

it.each([
  ['check', []],
  ['reconcile', ['orders']],
  ['run', ['--role', 'consumer']],
])('%s loads Temporal’s client, and neither its worker nor what formats a log for people', async (command, args) => {
  const loaded = await loadedBy([command, ...args, '--config', 'no-such-file']);
  const libraries = ['@temporalio/client', '@temporalio/worker/lib/worker.js', 'rxjs', 'memfs', 'pino-pretty'];
  expect(libraries.filter((library) => loaded.some((url) => url.includes(`/node_modules/${library}`)))).toEqual([
    '@temporalio/client',
  ]);
});

it.each([
  ['dlq', ['list', 'orders']],
  ['setup', []],
  ['rewind', ['orders', '--to', 'earliest']],
])(
  '%s does not load Temporal’s client, which is half of what a command loads, before it asks Temporal',
  async (command, args) => {
    const loaded = await loadedBy([command, ...args, '--config', 'no-such-file']);
    const libraries = ['kafkajs', '@temporalio/client', '@temporalio/core-bridge'];
    expect(libraries.filter((library) => loaded.some((url) => url.includes(`/node_modules/${library}`)))).toEqual([
      'kafkajs',
    ]);
  },
);

it.each([
  ['--config', ['--config', 'f.yaml', 'status']],
  ['-c', ['-c', 'f.yaml', 'run']],
  ['--json', ['dlq', '--json', 'list']],
  ['--json', ['config', '--json', 'validate']],
])('an option before its command (%s) is told to come after it', async (option, args) => {
  const refused = promisify(execFile)(process.execPath, [CLI, ...args]);
  await expect(refused).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining(
      `error: unknown option '${option}': options come after the command, as in \`ktb check --config ktb.yaml\``,
    ) as string,
  });
});

it('an option that a command does not know is told as such', async () => {
  const refused = promisify(execFile)(process.execPath, [CLI, 'status', '--jsn']);
  await expect(refused).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^error: unknown option '--jsn'\n\(Did you mean --json\?\)\n/) as string,
  });
});

it('a variable of an option that is set and empty counts as none', async () => {
  const env = { ...process.env, KTB_CONFIG: '', KTB_CODEC_TOKEN: '', KTB_CODEC_TOKEN_FILE: '' };
  const directory = await mkdtemp(join(tmpdir(), 'ktb-empty-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const run = (...args: string[]) => promisify(execFile)(process.execPath, [CLI, ...args], { env, cwd: directory });
  await expect(run('config', 'validate')).rejects.toMatchObject({
    stderr: expect.stringContaining('the configuration file ktb.yaml does not exist') as string,
  });
  await expect(run('codec-server', '--listen', '0.0.0.0:0')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('set KTB_CODEC_TOKEN') as string,
  });
});

it.each(['pause', 'resume', 'flush', 'drain'])('%s wants a reason that says something', async (action) => {
  for (const reason of ['', ' \n']) {
    const refused = promisify(execFile)(process.execPath, [CLI, action, '--reason', reason]);
    await expect(refused).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--reason is empty: say why') as string,
    });
  }
});

it('park does not leave open whose batch is given up', async () => {
  const refused = promisify(execFile)(process.execPath, [CLI, 'park', '--reason', 'gone for good']);
  await expect(refused).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("required option '--batcher <batcher>' not specified") as string,
  });
});

it('`ktb check --json` names the configuration file that is missing', async () => {
  const found = await promisify(execFile)(process.execPath, [CLI, 'check', '--config', 'none.yaml', '--json']).catch(
    (error: unknown) => error as { code: number; stdout: string },
  );
  expect(found).toMatchObject({ code: 2 });
  expect(JSON.parse(found.stdout)).toMatchObject([
    { level: 'wrong', subject: 'configuration none.yaml', todo: 'mend the configuration' },
  ]);
});

it('prints nothing that a terminal would obey, whoever has said it', async () => {
  const failed = promisify(execFile)(process.execPath, [CLI, 'check', '--config', '/no/such/\u001B[2J\u0007file']);
  const { stderr } = await failed.then(
    () => ({ stderr: '' }),
    (error: unknown) => error as { stderr: string },
  );
  expect(stderr).toContain('/no/such/\\u001b[2J\\u0007file');
  expect(stderr).not.toMatch(/[\u001B\u0007]/);
});
