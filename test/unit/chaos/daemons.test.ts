import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ChaosDaemon, portsOf } from '../../../chaos/daemons.js';
import { pickPorts } from '../../../stack/ports.js';
import { Watchdog } from '../../../stack/processes.js';
import { eventually } from '../../support/eventually.js';

/** A daemon that is this script. It notes `up` in its log when it can be ended. */
async function daemonOf(script: string, directory = mkdtempSync(join(tmpdir(), 'ktb-daemons-'))): Promise<ChaosDaemon> {
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

it.each([
  ['', []],
  [`console.log('{"level":"info","message":"Running"}');`, ['one was ended by SIGTERM after SIGTERM']],
])('SIGTERM itself may end a daemon only before it says that it runs: %s', async (says, wrongEnds) => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-daemons-'));
  const daemon = await daemonOf(`${says} console.log('up'); setInterval(() => undefined, 1_000);`, directory);
  await daemon.start();
  await eventually(() => expect(logOf(directory).at(-1)).toBe('up'));
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

/** What a daemon has noted in its log, a line each. */
const logOf = (directory: string): string[] => readFileSync(join(directory, 'one.log'), 'utf8').trim().split('\n');

it('runs in another role, and with less memory, while it is told to', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-daemons-'));
  const script = `
    console.log([process.argv[6] ?? 'both', process.env.NODE_OPTIONS ?? 'as usual'].join());
    setInterval(() => undefined, 1_000);
  `;
  const daemon = await daemonOf(script, directory);
  const noted = ['consumer,--max-old-space-size=40', 'both,as usual'];
  for (const [index, conditions] of [{ role: 'consumer', heapMiB: 40 } as const, {}].entries()) {
    daemon.under(conditions);
    await daemon.start();
    await eventually(() => expect(logOf(directory)).toEqual(noted.slice(0, index + 1)));
    await daemon.kill();
  }
});

const FILLS_ITS_HEAP = `const all = []; for (;;) all.push('x'.repeat(100).split(''))`;
const FILLS_THE_HEAP_OF_A_THREAD = `
  const { Worker } = require('node:worker_threads');
  const thread = new Worker(${JSON.stringify(FILLS_ITS_HEAP)}, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 16 } });
  thread.on('error', (error) => { console.error(error.code); process.exit(1); });
`;
const ABORTS = 'setTimeout(() => process.abort(), 100)';

it.each([
  ['with much memory', {}, FILLS_THE_HEAP_OF_A_THREAD, 1, 0],
  ['with little memory', { heapMiB: 40 }, FILLS_ITS_HEAP, 0, 1],
  ['with little memory for a thread', { heapMiB: 40 }, FILLS_THE_HEAP_OF_A_THREAD, 0, 1],
  ['for another reason', { heapMiB: 40 }, ABORTS, 1, 0],
])(
  'the end of a daemon is wrong unless it had too little memory: %s',
  async (_, conditions, script, wrong, forMemory) => {
    const daemon = await daemonOf(script);
    daemon.under(conditions);
    await daemon.start();
    await eventually(() => expect([daemon.wrongEnds.length, daemon.endsForMemory]).toEqual([wrong, forMemory]));
    await daemon.kill();
  },
);

it('a failure after SIGTERM is wrong, also of a daemon that has little memory', async () => {
  const daemon = await daemonOf(endsWith(1));
  daemon.under({ heapMiB: 40 });
  await daemon.start();
  expect(await daemon.untilAssigned(20_000, new AbortController().signal)).toBe(true);
  await daemon.terminate();
  expect(daemon.wrongEnds).toEqual(['one ended with exit code 1 after SIGTERM']);
});

it('has a clock that is ahead, is set back, and is right again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-daemons-'));
  const script = `setInterval(() => console.log(Date.now(), new Date().getTime(), new Date(5).getTime()), 50)`;
  const daemon = await daemonOf(script, directory);
  for (const clockMs of [3_600_000, -7_200_000, 0]) {
    daemon.under({ clockMs });
    if (clockMs > 0) await daemon.start();
    await eventually(() => {
      const [now, made, fixed] = (logOf(directory).at(-1) ?? '').split(' ').map(Number) as [number, number, number];
      for (const time of [now, made]) expect(Math.abs(time - clockMs - Date.now())).toBeLessThan(10_000);
      expect(fixed).toBe(5);
    });
  }
});

it('tells how many lines of its log are from the future, and how often it has ended for its memory', async () => {
  const script = `
    for (const later of [-60_000, 0, 4_000, 60_000])
      console.log(JSON.stringify({ time: new Date(Date.now() + later).toISOString() }));
    console.error('JavaScript heap out of memory');
    setTimeout(() => process.exit(1), 50);
  `;
  const daemon = await daemonOf(script);
  daemon.under({ heapMiB: 40 });
  await daemon.start();
  await eventually(() => expect(daemon.endsForMemory).toBe(1));
  await daemon.kill();
  expect(daemon.linesAhead(0, 2_000)).toBeGreaterThanOrEqual(2);
  expect(daemon.linesAhead(0, 30_000)).toBeGreaterThanOrEqual(1);
  expect(daemon.linesAhead(daemon.logBytes(), 0)).toBe(0);
  expect(daemon.wrongEnds).toEqual([]);
});
