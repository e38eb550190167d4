import { expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

/** Limits of the server, lowered until the bridge runs into them. */
const stack = useStack({
  temporalDynamicConfig: {
    'limit.blobSize.error': 100_000,
    'limit.blobSize.warn': 90_000,
    'history.maximumSignalsPerExecution': 60,
    'limit.historyCount.suggestContinueAsNew': 40,
  },
});
let fixture: Fixture;

function start(args: readonly string[]): Promise<Daemon> {
  return Daemon.start(fixture.config(), args);
}

const noise = () => Array.from({ length: 500 }, () => Math.random().toString(36).slice(2)).join('');

it('a chunk that Temporal refuses for its size is sent in parts', async () => {
  fixture = await Fixture.create(stack(), {
    pipeline: { batchers: 1, signal: { linger: '500ms' } },
  });
  await fixture.collectAcks();
  await fixture.produce(100, (id) => ({ value: JSON.stringify({ id, text: noise() }) }));
  const daemon = await start([]);
  await expectExactlyOnce(fixture, { acksOnce: true });
  expect(await daemon.metric('ktb_signals_total', { outcome: 'refused' })).toBeGreaterThan(0);
});

it('a run that takes no more signals is waited for, and goes on when a worker is there', async () => {
  fixture = await Fixture.create(stack(), { pipeline: { batchers: 1, signal: { maxRecords: 1 } } });
  await fixture.collectAcks();
  await fixture.produce(200);
  const consumer = await start(['--role', 'consumer']);
  await eventually(async () => expect(await consumer.metric('ktb_stopped_lanes', { cause: 'history' })).toBe(1));
  expect(await consumer.metric('ktb_signals_total', { outcome: 'started' })).toBe(1);
  expect(await consumer.metric('ktb_signals_total', { outcome: 'signalled' })).toBe(59);
  await start(['--role', 'worker']);
  await expectExactlyOnce(fixture, { acksOnce: true });
});
