import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { afterAll, expect, it } from 'vitest';
import { tightenHeaps } from '../../../src/commands/run.js';

/** Makes garbage of young objects for a while, and tells how much room they got at most. */
const MAKE_GARBAGE = `
  const { parentPort } = require('node:worker_threads');
  const { getHeapSpaceStatistics } = require('node:v8');
  const kept = [];
  let most = 0;
  for (let round = 0; round < 300; round++) {
    for (let index = 0; index < 10_000; index++) kept[index % 100_000] = { index, list: [index] };
    const { space_size } = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    most = Math.max(most, space_size);
  }
  parentPort.postMessage(most);`;

afterAll(() => {
  // V8's own values. Other files use the same process.
  for (const flag of ['--heap-growing-percent=0', '--max-semi-space-size=0']) setFlagsFromString(flag);
});

it('a thread that begins later takes little memory for young objects', async () => {
  tightenHeaps();
  const worker = new Worker(MAKE_GARBAGE, { eval: true });
  const most = await new Promise<number>((resolve) => worker.once('message', resolve));
  await worker.terminate();
  expect(most).toBeLessThanOrEqual(8 * 1024 * 1024);
});
