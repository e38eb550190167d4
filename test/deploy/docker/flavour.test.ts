import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, inject, it } from 'vitest';
import { buildLocalImages } from '../../../stack/docker/localImages.js';
import { Watchdog } from '../../../stack/processes.js';
import { Progress, reportProgress } from '../../../stack/progress.js';
import { Daemon } from '../../support/daemon.js';
import { eventually } from '../../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../../support/exactlyOnce.js';
import { Fixture } from '../../support/fixture.js';
import { steadyLoad } from '../../support/load.js';
import { useStack } from '../../support/useStack.js';

const { environment, baseImages } = inject('engine');

beforeAll(async () => {
  Object.assign(process.env, environment);
  if (baseImages === undefined) return;
  // Its image cannot be pulled here; the engine goes with everything in it.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  const watchdog = new Watchdog();
  const dataDir = await mkdtemp(join(tmpdir(), 'ktb-images-'));
  watchdog.guardDirectory(dataDir);
  const reporter = reportProgress();
  try {
    const progress = new Progress(reporter.onProgress);
    const context = { dataDir, progress, watchdog, signal: new AbortController().signal };
    const images = await buildLocalImages(baseImages.debian, environment, context);
    for (const [name, image] of Object.entries(images)) process.env[`KTB_STACK_${name.toUpperCase()}_IMAGE`] = image;
  } finally {
    reporter.close();
    await rm(dataDir, { recursive: true });
    await watchdog.close();
  }
});

const stack = useStack({ flavour: 'docker' });
let fixture: Fixture;

async function create(): Promise<void> {
  fixture = await Fixture.create(stack());
  await fixture.collectAcks();
}

const startDaemon = (...args: readonly string[]): Promise<Daemon> => Daemon.start(fixture.config(), args);
const untilAcks = (count: number) => eventually(() => expect(fixture.acks.length).toBeGreaterThanOrEqual(count));

it('every record becomes one row and one acknowledgement: 20,000 over 8 partitions', async () => {
  await create();
  expect(stack().flavour).toBe('docker');
  await fixture.produce(20_000);
  await startDaemon();
  await expectExactlyOnce(fixture, { acksOnce: true });
});

it('a worker killed by SIGKILL under load loses and doubles nothing', async () => {
  await create();
  await startDaemon('--role', 'consumer');
  await startDaemon('--role', 'worker');
  const load = steadyLoad(fixture, 1_000);
  for (let round = 1; round <= 2; round++) {
    const victim = await startDaemon('--role', 'worker');
    await untilAcks(round * 2_000);
    await victim.kill();
  }
  await load.stop();
  await expectExactlyOnce(fixture);
});

it('a bad record is rejected alone, and its bytes are on the dead-letter topic', async () => {
  await create();
  const bad: Record<number, string> = { 0: 'not json', 401: '{"id": "no number", "text": "refused by ClickHouse"}' };
  await startDaemon();
  await fixture.produce(1_000, (id) => (id in bad ? { value: bad[id] ?? null, key: `bad-${id}` } : {}));
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(1_000));
  const rejected = fixture.acks.filter(({ status }) => status === 'rejected');
  expect(Object.fromEntries(rejected.map(({ key, code }) => [key, code]))).toEqual({
    'bad-0': 'not_json',
    'bad-401': 'refused_by_clickhouse',
  });
  expect(await fixture.rowCounts()).toEqual({ rows: 998, identities: 998, ids: 998 });
  const letters = await fixture.deadLetters(2);
  expect(letters.map(({ value }) => String(value)).sort()).toEqual(Object.values(bad).sort());
});

it('containers that are killed come back on their ports with their data', async () => {
  await create();
  await startDaemon();
  await fixture.produce(1_000);
  await untilAcks(1_000);
  const { kafka, temporal, clickhouse } = stack().parts;
  for (const part of [...kafka, temporal, clickhouse]) {
    await part.kill();
    expect(part.running).toBe(false);
    await part.start();
  }
  await fixture.produce(1_000);
  await expectExactlyOnce(fixture);
});
