import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { replay } from '../../chaos/histories.js';
import { historyFromJson } from '../support/historyJson.js';

const BUNDLE = fileURLToPath(new URL('../../dist/workflows/bundle.js', import.meta.url));
const FLUSHES = fileURLToPath(new URL('histories/0.2.0/flushes.1.json', import.meta.url));

it('the replay after a run of faults tells a history that this build decides otherwise from one that it does not', async () => {
  const right = historyFromJson(JSON.parse(readFileSync(FLUSHES, 'utf8')));
  const planted = historyFromJson(JSON.parse(readFileSync(FLUSHES, 'utf8')));
  const scheduled = planted.events.find((event) => (event.activityTaskScheduledEventAttributes ?? null) !== null);
  scheduled!.activityTaskScheduledEventAttributes!.activityType = { name: 'somethingElse' };
  const histories = [
    { workflowId: 'right', history: right },
    { workflowId: 'planted', history: planted },
  ];
  const [first, second] = await replay(BUNDLE, histories, new Map());
  expect(first?.workflowId).toBe('right');
  expect(first?.error).toBeUndefined();
  expect(second).toMatchObject({ workflowId: 'planted', error: expect.stringContaining('somethingElse') as string });
});
