import { expect, it } from 'vitest';
import {
  CONFIRMATION_FORMAT,
  requestSource,
  UNCONFIRMED_MAX,
  type Unconfirmed,
} from '../../../src/protocol/request.js';
import { Confirmations } from '../../../src/workflows/confirmations.js';

const unconfirmed = (id: number, attempts = 1): Unconfirmed => ({
  requester: `w${id}`,
  confirmation: {
    format: CONFIRMATION_FORMAT,
    id: String(id),
    status: 'inserted',
    ...requestSource('b', 'e1'),
    offset: id,
    batch: null,
  },
  attempts,
});

it('is tried again later each time, and given up after ten attempts', () => {
  const confirmations = new Confirmations();
  const delays: number[] = [];
  let nowMs = 0;
  confirmations.add([unconfirmed(1)], nowMs);
  while (confirmations.size > 0) {
    delays.push(confirmations.dueAtMs - nowMs);
    expect(confirmations.takeDue(confirmations.dueAtMs - 1)).toEqual([]);
    nowMs = confirmations.dueAtMs;
    const [item] = confirmations.takeDue(nowMs);
    confirmations.add([{ ...item!, attempts: item!.attempts + 1 }], nowMs);
  }
  expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  expect(confirmations.dueAtMs).toBe(Infinity);
});

it('one that was never tried is due at once', () => {
  const confirmations = new Confirmations();
  confirmations.add([unconfirmed(1, 0)], 77);
  expect(confirmations.takeDue(77)).toEqual([unconfirmed(1, 0)]);
});

it('keeps no more than so many, the latest, also in the next run', () => {
  const confirmations = new Confirmations();
  for (let id = 0; id < UNCONFIRMED_MAX + 5; id++) confirmations.add([unconfirmed(id)], id);
  const next = new Confirmations(confirmations.toState());
  expect(next.size).toBe(UNCONFIRMED_MAX);
  expect(next.takeDue(Infinity)[0]).toEqual(unconfirmed(5));
});
