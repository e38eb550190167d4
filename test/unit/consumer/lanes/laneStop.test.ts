import { expect, it } from 'vitest';
import { LaneStop } from '../../../../src/consumer/lanes/laneStop.js';

it('a backlog that drains, whose batcher continues as new every three seconds, is not worth a word', () => {
  const lane = new LaneStop();
  for (let nowMs = 0; nowMs < 600_000; nowMs += 500) {
    if (nowMs % 3_000 === 0) lane.resume();
    expect(lane.note('history', nowMs)).toBe(false);
  }
});

it('a history that stays at its limit is told once a stop', () => {
  const lane = new LaneStop();
  const told = (fromMs: number) => {
    let times = 0;
    for (let nowMs = fromMs; nowMs < fromMs + 120_000; nowMs += 500) if (lane.note('history', nowMs)) times++;
    return times;
  };
  expect(told(0)).toBe(1);
  lane.resume();
  expect([lane.cause, told(200_000)]).toEqual([null, 1]);
});

it('every other cause is told at once, once, and again after another one', () => {
  const lane = new LaneStop();
  expect([lane.note('temporal', 0), lane.note('temporal', 1), lane.note('temporal', 90_000)]).toEqual([
    true,
    false,
    false,
  ]);
  expect([lane.note('closed', 90_001), lane.note('temporal', 90_002), lane.cause]).toEqual([true, true, 'temporal']);
});
