import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { afterEach, expect, it } from 'vitest';
import { DependencyMonitor, PartialProblem, type Check } from '../../../src/telemetry/dependencyMonitor.js';
import { startHealthServer, type HealthServer } from '../../../src/telemetry/healthServer.js';
import { StateLog, type Logger } from '../../../src/telemetry/logging.js';
import { createMetrics, type Dependency } from '../../../src/telemetry/metrics.js';
import { eventually } from '../../support/eventually.js';

function recordingLog(now?: () => number) {
  const lines: string[] = [];
  const write = (level: string) => (_fields: object, message: string) => void lines.push(`${level} ${message}`);
  const logger = { warn: write('warn'), info: write('info') } as unknown as Logger;
  return { lines, stateLog: new StateLog(logger, now) };
}

it('logs a state once when it changes, not while it lasts', () => {
  const { lines, stateLog } = recordingLog();
  stateLog.well('kafka', 'back');
  stateLog.problem('kafka', 'away');
  stateLog.problem('kafka', 'away');
  stateLog.problem('temporal', 'away');
  stateLog.problem('kafka', 'refuses');
  stateLog.well('kafka', 'back');
  stateLog.well('kafka', 'back');
  expect(lines).toEqual(['warn away', 'warn away', 'warn refuses', 'info back']);
});

it('logs problems that are found in turn once a minute each', () => {
  let nowMs = 0;
  const { lines, stateLog } = recordingLog(() => nowMs);
  const inTurn = (): void => {
    for (const problem of ['reset', 'hang up', 'reset', 'hang up']) stateLog.problem('clickhouse', problem);
  };
  inTurn();
  nowMs = 59_999;
  inTurn();
  expect(lines).toEqual(['warn reset', 'warn hang up']);
  nowMs = 60_000;
  inTurn();
  expect(lines).toEqual(['warn reset', 'warn hang up', 'warn reset', 'warn hang up']);
  stateLog.well('clickhouse', 'back');
  inTurn();
  expect(lines.slice(4)).toEqual(['info back', 'warn reset', 'warn hang up']);
});

it('waits for every dependency, shows what is wrong meanwhile, and notices one that goes away', async () => {
  const { lines, stateLog } = recordingLog();
  const metrics = createMetrics({ runtime: false });
  let problem: string | null = 'nothing listens';
  const check: Check = () => (problem === null ? Promise.resolve() : Promise.reject(new Error(problem)));
  const monitor = new DependencyMonitor(new Map<Dependency, Check>([['kafka', check]]), metrics, stateLog);
  const up = monitor.untilUp();
  await sleep(50);
  expect(monitor.problems).toEqual(['kafka: nothing listens']);
  problem = null;
  await up;
  expect(monitor.problems).toEqual([]);
  expect(await metrics.registry.metrics()).toContain('ktb_dependency_up{dependency="kafka"} 1');
  monitor.stop();
  expect(lines).toEqual(['warn nothing listens', 'info kafka is usable again']);
});

it('does not wait for what only some pipelines lack, and shows it all the same', async () => {
  const { lines, stateLog } = recordingLog();
  const metrics = createMetrics({ runtime: false });
  const check: Check = () => Promise.reject(new PartialProblem('there is no table a'));
  const monitor = new DependencyMonitor(new Map<Dependency, Check>([['clickhouse', check]]), metrics, stateLog);
  await monitor.untilUp();
  monitor.stop();
  expect(monitor.problems).toEqual(['clickhouse: there is no table a']);
  expect(await metrics.registry.metrics()).toContain('ktb_dependency_up{dependency="clickhouse"} 0');
  expect(lines).toEqual(['warn there is no table a']);
});

it('waits on for a check that is too slow, and begins one that is lost anew', async () => {
  const { lines, stateLog } = recordingLog();
  const begun: ((value?: undefined) => void)[] = [];
  const check: Check = () => new Promise<void>((resolve) => begun.push(resolve));
  const checks = new Map<Dependency, Check>([['clickhouse', check]]);
  const timeouts = { checkMs: 10, lostMs: 1_500 };
  const monitor = new DependencyMonitor(checks, createMetrics({ runtime: false }), stateLog, timeouts);
  const up = monitor.untilUp();
  await eventually(() => expect(begun).toHaveLength(2));
  // It was asked about once a second until then.
  expect(lines).toEqual(['warn does not answer within 0.01 s']);
  begun[1]?.();
  await up;
  expect(monitor.problems).toEqual([]);
  monitor.stop();
});

it('waits for no answer any more once it is stopped', async () => {
  const check: Check = () => new Promise<void>(() => undefined);
  const checks = new Map<Dependency, Check>([['clickhouse', check]]);
  const monitor = new DependencyMonitor(checks, createMetrics({ runtime: false }), recordingLog().stateLog);
  const up = monitor.untilUp();
  monitor.stop();
  await expect(up).rejects.toThrow();
}, 5_000);

let server: HealthServer | undefined;
afterEach(() => server?.close());

it('answers whatever path is asked for, and goes on', async () => {
  server = await startHealthServer({ host: '127.0.0.1', port: 0, metricsToken: null }, new Registry(), () => []);
  const { port } = server;
  const statusOf = async (path: string) => {
    const asked = request({ host: '127.0.0.1', port, path, agent: false }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.resume();
    return response.statusCode;
  };
  for (const path of ['//', '//?', '///livez', '//[']) expect(await statusOf(path)).toBe(404);
  expect(await statusOf('/livez?verbose')).toBe(200);
});

it('is alive at once, ready only without reasons against it, and serves the metrics', async () => {
  let reasons = ['kafka: away'];
  server = await startHealthServer({ host: '127.0.0.1', port: 0, metricsToken: null }, new Registry(), () => reasons);
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${server?.port ?? 0}${path}`);
    return { status: response.status, text: await response.text() };
  };
  expect((await get('/livez')).status).toBe(200);
  expect(await get('/readyz')).toEqual({ status: 503, text: 'kafka: away\n' });
  reasons = [];
  expect((await get('/readyz')).status).toBe(200);
  expect((await get('/metrics')).status).toBe(200);
  expect((await get('/else')).status).toBe(404);
});

it('serves the metrics only with the token, if there is one, and leaves the probes open', async () => {
  const settings = { host: '127.0.0.1', port: 0, metricsToken: 'scraper secret' };
  server = await startHealthServer(settings, new Registry(), () => []);
  const url = `http://127.0.0.1:${server.port}`;
  const statusWith = async (path: string, authorization?: string) => {
    const response = await fetch(`${url}${path}`, authorization === undefined ? {} : { headers: { authorization } });
    expect(await response.text()).not.toContain('scraper secret');
    return response.status;
  };
  expect(await statusWith('/metrics', 'Bearer scraper secret')).toBe(200);
  expect(await statusWith('/metrics')).toBe(401);
  for (const wrong of ['Bearer scraper', 'Bearer scraper secret2', 'Basic scraper secret', 'Bearer', 'scraper secret'])
    expect(await statusWith('/metrics', wrong), wrong).toBe(401);
  expect(await statusWith('/metrics?x=1')).toBe(401);
  expect(await statusWith('/livez')).toBe(200);
  expect(await statusWith('/readyz')).toBe(200);
});
