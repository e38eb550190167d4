import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ChaosDaemon, portsOf } from '../../../chaos/daemons.js';
import { pickPorts } from '../../../stack/ports.js';
import { Watchdog } from '../../../stack/processes.js';
import { eventually } from '../../support/eventually.js';

/** A daemon that is this script. It notes `up` in its log when it can be ended. */
async function daemonOf(script: string): Promise<ChaosDaemon> {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-daemons-'));
  const watchdog = new Watchdog();
  const cli = join(directory, 'cli.cjs');
  writeFileSync(cli, script);
  const daemon = await ChaosDaemon.create({
    name: 'one',
    role: 'both',
    addresses: { brokers: ['127.0.0.1:9'], temporal: '127.0.0.1:9', clickhouse: 'http://127.0.0.1:9' },
    ports: await pickPorts(portsOf(1)),
    directory,
    configuration: { kafka: {}, temporal: {} },
    watchdog,
    cli,
  });
  onTestFinished(async () => {
    await daemon.close();
    await watchdog.close();
    rmSync(directory, { recursive: true });
  });
  return daemon;
}

/** Has partitions after it is up, and ends with this code after SIGTERM. */
const endsWith = (code: number): string => `
  const file = require('node:fs').readFileSync(process.argv[4], 'utf8');
  const port = Number(/listen: 127.0.0.1:(\\d+)/.exec(file)[1]);
  process.on('SIGTERM', () => process.exit(${code}));
  require('node:http').createServer((_, response) => {
    response.end('# HELP\\nktb_assigned_partitions{pipeline="chaos"} 2\\n');
  }).listen(port, '127.0.0.1');
`;

it.each([
  [0, []],
  [1, ['one ended with exit code 1 after SIGTERM']],
])('an exit code of %i after SIGTERM is judged', async (code, wrongEnds) => {
  const daemon = await daemonOf(endsWith(code));
  await daemon.start();
  expect(await daemon.untilAssigned(20_000, new AbortController().signal)).toBe(true);
  await daemon.terminate();
  expect(daemon.wrongEnds).toEqual(wrongEnds);
});

it('a kill before it is told to end is no wrong end', async () => {
  const daemon = await daemonOf('setInterval(() => undefined, 1_000)');
  await daemon.start();
  expect(await daemon.untilAssigned(1, new AbortController().signal)).toBe(false);
  await daemon.kill();
  await daemon.terminate();
  expect(daemon.wrongEnds).toEqual([]);
});

it('is not started after it was closed, even by a start that had begun', async () => {
  const daemon = await daemonOf('setInterval(() => undefined, 1_000)');
  const begun = daemon.start();
  await daemon.close();
  await begun;
  await eventually(() => expect(daemon.running).toBe(false));
  await daemon.start();
  expect(daemon.running).toBe(false);
});
