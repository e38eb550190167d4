import { expect, it } from 'vitest';
import { LiveConfig } from '../../../src/config/liveConfig.js';
import { parseComparable } from '../../../src/config/load.js';
import { ConfigWatch } from '../../../src/daemon/configWatch.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';

const yaml = (more = '', top = '') => `${top}pipelines: { orders: { topics: [orders], table: orders${more} } }`;
const parse = (text: string) => parseComparable(text, 'ktb.yaml', {});

/**
 * A watch over a file that each look finds like this, one after the other. It ends with the last one.
 *
 * @param misfits what the check of tables says, in turn
 * @param misfitting what it says of a pipeline, always
 */
async function watched(
  looks: readonly (string | Error)[],
  {
    misfits = [],
    misfitting = {},
    askedAt = [],
    first = yaml(),
  }: {
    misfits?: (string | null)[];
    misfitting?: Readonly<Record<string, string>>;
    askedAt?: readonly number[];
    first?: string;
  } = {},
) {
  const loaded = parse(first);
  const log: string[] = [];
  const states: string[] = [];
  const checked: string[][] = [];
  const ending = new AbortController();
  const metrics = createMetrics({ runtime: false });
  const left = [...looks];
  const { config } = loaded;
  let look = 0;
  const gauges = async () => {
    const [refused, needed] = await Promise.all([metrics.configRefused.get(), metrics.configRestartNeeded.get()]);
    return `${refused.values[0]?.value ?? 0}${needed.values[0]?.value ?? 0}`;
  };
  const watch = new ConfigWatch({
    live: new LiveConfig(loaded),
    loaded,
    read: () => {
      const found = left.shift() ?? first;
      if (left.length === 0) ending.abort();
      if (askedAt.includes(++look)) watch.ask();
      return found instanceof Error ? Promise.reject(found) : Promise.resolve(found);
    },
    parse,
    checkTables: async (pipelines) => {
      checked.push(pipelines.map(({ name }) => name));
      const misfit = misfits.shift() ?? pipelines.map(({ name }) => misfitting[name]).find(Boolean) ?? null;
      await Promise.resolve();
      if (misfit !== null) throw new Error(misfit);
    },
    changed: () => states.push(`${config.log.level} ${config.pipelines[0]?.settings.batch.maxDelayMs}`),
    metrics,
    logger: { info: (fields: unknown, message?: string) => void log.push(message ?? String(fields)) },
    stateLog: {
      problem: (what: string, problem: string) => {
        const line = `${what}: ${problem}`;
        if (log.at(-1) !== line) log.push(line);
      },
      well: () => undefined,
    },
    betweenLooksMs: 1,
  });
  await watch.watch(ending.signal);
  return { log, states, checked, config, gauges: await gauges() };
}

it('a changed file counts once two looks find it, and then what can change does', async () => {
  const changed = yaml(', batch: { maxDelay: 5s }', 'log: { level: debug }\n');
  const once = await watched([yaml(), changed, yaml(), yaml()]);
  expect([once.states, once.log]).toEqual([[], []]);
  const twice = await watched([yaml(), changed, changed, changed, changed]);
  expect([twice.states, twice.log, twice.gauges]).toEqual([['debug 5000'], ['A changed configuration is used'], '00']);
});

it('who asks has it read at once', async () => {
  const { states } = await watched([yaml(), yaml(', batch: { maxDelay: 5s }'), yaml()], { askedAt: [1] });
  expect(states).toEqual(['info 5000']);
});

it('a file that is wrong changes nothing, is told in the words of the start, and a later one is used', async () => {
  const wrong = yaml(', batch: { maxDelay: 5 weeks }', 'log: { level: debug }\n');
  let message = '';
  try {
    parse(wrong);
  } catch (error) {
    ({ message } = error as Error);
  }
  const { states, log, config, gauges } = await watched([wrong, wrong, wrong, wrong]);
  expect(message).toContain('maxDelay');
  expect(log).toEqual([`configuration: The changed configuration is not used, and the last one is: ${message}`]);
  expect([states, config.log.level, gauges]).toEqual([[], 'info', '10']);
  const right = yaml(', batch: { maxDelay: 2s }');
  expect(await watched([wrong, wrong, right, right, right])).toMatchObject({ states: ['info 2000'], gauges: '00' });
  expect(await watched([wrong, wrong, yaml(), yaml(), yaml()])).toMatchObject({ states: [], gauges: '00' });
});

it('a file that is gone is told if it stays so, and nothing changes', async () => {
  const gone = new Error('it does not exist');
  expect((await watched([gone, yaml(), gone, yaml(), yaml()])).log).toEqual([]);
  expect(await watched([gone, gone, gone])).toMatchObject({
    log: ['configuration: The changed configuration is not used, and the last one is: it does not exist'],
    gauges: '10',
  });
});

it('columns are checked against the table before they are used, and again at each look until they fit', async () => {
  const mapped = yaml(', columns: { total: /sum }', 'log: { level: warn }\n');
  const misfits = ['no column total', 'no column total'];
  const refused = await watched([mapped, mapped, mapped], { misfits: [...misfits] });
  expect(refused).toMatchObject({ states: ['warn 1000'], gauges: '10', checked: [['orders'], ['orders']] });
  expect(refused.config.pipelines[0]?.settings.destination.columns).toEqual({});
  expect(refused.log).toEqual([
    'configuration: The changed configuration is not used by pipelines orders: no column total',
    'A changed configuration is used',
  ]);
  const mended = await watched([mapped, mapped, mapped, mapped, mapped, mapped], { misfits: [...misfits] });
  expect(mended).toMatchObject({
    states: ['warn 1000', 'warn 1000'],
    gauges: '00',
    checked: [['orders'], ['orders'], ['orders']],
  });
  expect(mended.config.pipelines[0]?.settings.destination.columns).toEqual({ total: '/sum' });
});

const several = (orders: string, events: string, top = '') =>
  `${top}pipelines:
  orders: { topics: [orders], table: orders${orders} }
  events: { topics: [events], table: events${events} }
  audit: { topics: [audit], table: audit }`;

it('a pipeline whose columns do not fit waits alone: other pipelines change, and restarts are told', async () => {
  const first = several('', '');
  const [total, delay] = [', columns: { total: /sum }', ', batch: { maxDelay: 5s }'];
  const changed = several(total + delay, total, 'log: { level: warn }\nkafka: { brokers: [b:1] }\n');
  const misfitting = { orders: 'orders has no column total' };
  const { config, gauges, log, states } = await watched([changed, changed, changed, changed], { first, misfitting });
  expect(config.log.level).toBe('warn');
  const [orders, events] = config.pipelines;
  expect([orders?.settings.destination.columns, orders?.settings.batch.maxDelayMs]).toEqual([{}, 1_000]);
  expect(events?.settings.destination.columns).toEqual({ total: '/sum' });
  expect(gauges).toBe('11');
  expect(states).toHaveLength(1);
  expect(log).toEqual([
    'configuration: The changed configuration is not used by pipelines orders: orders has no column total',
    'A changed configuration is used',
    'restart: Restart to apply: kafka.brokers',
    'configuration: The changed configuration is not used by pipelines orders: orders has no column total',
    'restart: Restart to apply: kafka.brokers',
  ]);
  // The file as it was takes back what was used of the other one.
  const back = await watched([changed, changed, first, first, first], { first, misfitting });
  expect([back.config.log.level, back.config.pipelines[1]?.settings.destination.columns]).toEqual(['info', {}]);
  expect(back.gauges).toBe('00');
});

it('without an answer about the tables all new columns wait, and nothing else', async () => {
  const first = several('', '');
  const changed = several(', columns: { total: /sum }', ', columns: { a: /b }', 'log: { level: warn }\n');
  const misfitting = { orders: 'it is away', events: 'it is away' };
  const { config, log } = await watched([changed, changed, changed], { first, misfitting });
  expect(config.log.level).toBe('warn');
  expect(config.pipelines.map(({ settings }) => settings.destination.columns)).toEqual([{}, {}, {}]);
  expect(log[0]).toBe('configuration: The changed configuration is not used by pipelines orders; events: it is away');
});

it('what names no other column needs no answer of ClickHouse', async () => {
  const other = yaml(', batch: { maxDelay: 5s }, where: { pointer: /a, exists: true }');
  expect(await watched([other, other, other], { misfits: ['it is away'] })).toMatchObject({
    states: ['info 5000'],
    checked: [],
  });
});

it('what needs a restart is named until the file is as before', async () => {
  const moved = yaml(', batchers: 5, batch: { maxDelay: 5s }', 'log: { level: debug }\nkafka: { brokers: [b:1] }\n');
  const { states, log, gauges } = await watched([moved, moved, moved, moved]);
  expect([states, gauges]).toEqual([['debug 1000'], '01']);
  expect(log).toEqual([
    'A changed configuration is used',
    'restart: Restart to apply: kafka.brokers; pipelines.orders.batchers; pipelines.orders.batch.maxDelay',
  ]);
  expect(await watched([moved, moved, yaml(), yaml(), yaml()])).toMatchObject({
    states: ['debug 1000', 'info 1000'],
    gauges: '00',
  });
});
