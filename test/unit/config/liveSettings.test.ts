import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LiveConfig } from '../../../src/config/liveConfig.js';
import { classOf, planChanges } from '../../../src/config/liveSettings.js';
import { parseComparable } from '../../../src/config/load.js';
import { settingPaths } from '../../../src/config/reference.js';
import type { ParsedConfig } from '../../../src/config/schema.js';

const YAML = `
kafka: { sasl: { mechanism: plain, username: u, password: p } }
pipelines:
  orders: { topics: [orders], table: orders, reply: { topic: replies }, columns: { total: /sum } }
  events: { topics: [events], table: events, reply: { topic: replies } }
`;
const load = (text: string) => parseComparable(text, 'ktb.yaml', {});
const BASE = load(YAML).parsed;

type Node = Record<string, unknown>;

/** A configuration in which the setting of this path has another value. */
function withChanged(parsed: ParsedConfig, path: readonly string[]): ParsedConfig {
  const copy = structuredClone(parsed);
  let node = copy as unknown as Node;
  for (const key of path.slice(0, -1)) {
    const inner = node[key];
    node = (typeof inner === 'object' && inner !== null ? inner : (node[key] = {})) as Node;
  }
  node[path.at(-1) as string] = 'another value';
  return copy;
}

const PATHS = settingPaths().map(({ path }) => path.replace('<name>', 'orders').split('.'));

describe('each setting of the file', () => {
  it('has a class, and a key that nobody has classified has none', () => {
    expect(PATHS.filter((path) => classOf(path) === undefined)).toEqual([]);
    expect(
      ['novel', 'log.novel', 'pipelines.orders.novel', 'pipelines.orders.reply.novel'].map((path) =>
        classOf(path.split('.')),
      ),
    ).toEqual(Array(4).fill(undefined));
  });

  it.each(PATHS.map((path) => path.join('.')))('%s is taken, or named as one that needs a restart', (name) => {
    const path = name.split('.');
    const { next, live, restart } = planChanges(BASE, withChanged(BASE, path));
    const [told, other] = classOf(path) === 'live' ? [live, restart] : [restart, live];
    expect(told).toHaveLength(1);
    // A group that was not there is named as a whole.
    expect(`${name}.`.startsWith(`${told[0]}.`)).toBe(true);
    expect(other).toEqual([]);
    expect(next).toEqual(classOf(path) === 'live' ? withChanged(BASE, path) : BASE);
  });
});

it('a pipeline takes all of its changes, or none while one of them needs a restart', () => {
  const paths = PATHS.filter(([first]) => first === 'pipelines');
  const changes = fc.subarray(
    (['orders', 'events'] as const).flatMap((name) =>
      paths.map(([first, , ...rest]) => [first, name, ...rest] as string[]),
    ),
  );
  fc.assert(
    fc.property(changes, (changed) => {
      const wanted = changed.reduce(withChanged, BASE);
      const { next, live, restart } = planChanges(BASE, wanted);
      for (const name of ['orders', 'events']) {
        const waits = changed.some((path) => path[1] === name && classOf(path) === 'restart');
        expect(next.pipelines[name]).toEqual((waits ? BASE : wanted).pipelines[name]);
        const ofPipeline = (paths: readonly string[]) => paths.filter((path) => path.startsWith(`pipelines.${name}.`));
        expect(ofPipeline(waits ? live : restart)).toEqual([]);
      }
      // What was taken is no change any more, and the rest is the same as before.
      expect(planChanges(next, wanted)).toMatchObject({ live: [], restart, remapped: [] });
    }),
  );
});

it.each(['clickhouse: { database: other }', 'schemaRegistry: { url: "http://other:8081" }'])(
  'new columns wait for the restart that %s needs, with all of their pipeline',
  (section) => {
    const wanted = load(
      `log: { level: debug }\n${section}${YAML.replace('/sum', '/total').replace('table: orders,', 'table: orders, batch: { maxRecords: 7 },').replace('table: events,', 'table: events, batch: { maxRecords: 7 },')}`,
    ).parsed;
    const { next, live, restart, remapped } = planChanges(BASE, wanted);
    expect(live).toEqual(['log.level', 'pipelines.events.batch.maxRecords']);
    expect(restart).toEqual(
      expect.arrayContaining(['pipelines.orders.columns.total', 'pipelines.orders.batch.maxRecords']),
    );
    expect([next.pipelines['orders'], remapped]).toEqual([BASE.pipelines['orders'], []]);
  },
);

it('pipelines that come or go need a restart, and keep no other from its changes', () => {
  const wanted = load(`
kafka: { sasl: { mechanism: plain, username: u, password: p } }
pipelines:
  orders: { topics: [orders], table: orders, reply: { topic: replies }, columns: { total: /sum }, batch: { maxDelay: 5s } }
  more: { topics: [more], table: more }
`).parsed;
  const { next, live, restart } = planChanges(BASE, wanted);
  expect([live, restart]).toEqual([['pipelines.orders.batch.maxDelay'], ['pipelines.events', 'pipelines.more']]);
  expect(Object.keys(next.pipelines)).toEqual(['orders', 'events']);
});

it('a secret that is followed by itself is no change of the configuration, and any other one is', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-live-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'secret');
  const yaml = `
kafka: { clientId: "\${file:${file}}", sasl: { mechanism: plain, username: u, password: "\${file:${file}}" } }
pipelines: { orders: { topics: [orders], table: orders } }
`;
  writeFileSync(file, 'one');
  const before = load(yaml);
  expect(JSON.stringify(before.parsed.kafka.sasl)).not.toContain('one');
  writeFileSync(file, 'two');
  expect(planChanges(before.parsed, load(yaml).parsed).restart).toEqual(['kafka.clientId']);
  const written = load(yaml.replace(`password: "\${file:${file}}"`, 'password: two'));
  expect(planChanges(before.parsed, written.parsed).restart).toEqual(['kafka.clientId', 'kafka.sasl.password']);
});

describe('the configuration of a running daemon', () => {
  it('changes in the objects that everybody has, by other values, and only where there is a change', () => {
    const loaded = load(YAML);
    const { config } = loaded;
    const live = new LiveConfig(loaded);
    const [orders, events] = config.pipelines;
    const [before, other] = [orders!.settings, events!.settings];
    const plan = live.plan(load(`log: { level: debug }${YAML.replace('/sum', '/total, extra: /x')}`));
    expect(plan.live).toEqual(['log.level', 'pipelines.orders.columns.total', 'pipelines.orders.columns.extra']);
    expect(live.remapped(plan).map(({ name, settings }) => [name, settings.destination.columns])).toEqual([
      ['orders', { total: '/total', extra: '/x' }],
    ]);
    expect([config.log.level, orders!.settings]).toEqual(['info', before]);
    live.take(plan);
    expect(config.log.level).toBe('debug');
    expect([config.pipelines[0], config.pipelines[1]]).toEqual([orders, events]);
    expect(orders!.settings.destination.columns).toEqual({ total: '/total', extra: '/x' });
    expect(before.destination.columns).toEqual({ total: '/sum' });
    expect(events!.settings).toBe(other);
  });

  it('gets no part of what needs a restart with it: settings that others give', () => {
    const key = Buffer.alloc(32).toString('base64');
    const required = `temporal: { encryption: { keys: { k: "${key}" }, active: k, required: true } }`;
    const loaded = load(YAML);
    const live = new LiveConfig(loaded);
    const plan = live.plan(
      load(`${required}${YAML.replace('table: events', 'table: events, batch: { maxRecords: 7 }')}`),
    );
    live.take(plan);
    expect(plan.restart.length).toBeGreaterThan(0);
    const { settings, signal } = loaded.config.pipelines[1]!;
    expect([settings.batch.maxRecords, signal.maxRecords]).toEqual([7, 7]);
    expect(settings).not.toHaveProperty('encryption');
  });
});
