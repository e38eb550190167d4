import { expect, it } from 'vitest';
import { temporalLog } from '../../../src/telemetry/temporalLog.js';

function logged(entry: Parameters<ReturnType<typeof temporalLog>>[0]): unknown[] {
  const lines: unknown[] = [];
  const to = (level: string) => (fields: unknown, text?: string) => void lines.push([level, fields, text]);
  const logger = { debug: to('debug'), warn: to('warn'), error: to('error') };
  temporalLog(logger)(entry);
  return lines;
}

it('an error that comes along is written as what it says', () => {
  expect(logged({ level: 'ERROR', message: 'no poll', meta: { error: new Error('gone'), taskQueue: 'ktb' } })).toEqual([
    ['error', { error: 'gone', taskQueue: 'ktb' }, 'temporal: no poll'],
  ]);
  expect(logged({ level: 'WARN', message: 'slow' })).toEqual([['warn', {}, 'temporal: slow']]);
});

it('a failed worker and a failed activity, which others report, are for the debug level', () => {
  expect(logged({ level: 'ERROR', message: 'Worker failed', meta: { error: new Error('late') } })).toEqual([
    ['debug', { error: 'late' }, 'temporal: Worker failed'],
  ]);
  expect(logged({ level: 'WARN', message: 'Activity failed', meta: { activityType: 'flush' } })).toEqual([
    ['debug', { activityType: 'flush' }, 'temporal: Activity failed'],
  ]);
});
