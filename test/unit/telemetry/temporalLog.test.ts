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

it('what an activity or an operation was called with is in no line, and an attempt that cannot begin is for the debug level', () => {
  const meta = { error: new Error('no JSON'), task: '{"start":{"input":["secret"]}}', taskEncoded: 'c2VjcmV0' };
  const message = 'Error while processing ActivityTask.start: no JSON';
  expect(logged({ level: 'ERROR', message, meta })).toEqual([['debug', { error: 'no JSON' }, `temporal: ${message}`]]);
  expect(logged({ level: 'ERROR', message: 'Error while processing Nexus task: no', meta })).toEqual([
    ['error', { error: 'no JSON' }, 'temporal: Error while processing Nexus task: no'],
  ]);
});
