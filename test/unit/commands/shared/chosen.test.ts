import { expect, it } from 'vitest';
import { chosenPartitions, parsePosition, partitionsText } from '../../../../src/commands/shared/chosen.js';
import { UsageError } from '../../../../src/lib/usageError.js';

const partitions = ['orders', 'payments'].flatMap((topic) =>
  [0, 1, 2].map((partition) => ({ topic, partition, committed: 7 })),
);

it('chooses partitions, and says which of those named are none, also beside others that are', () => {
  expect(chosenPartitions(partitions, [])).toBe(partitions);
  expect(chosenPartitions(partitions, ['payments/1', 'orders/0', 'orders/0'])).toEqual([partitions[4], partitions[0]]);
  const choose = () => chosenPartitions(partitions, ['orders/0', 'orders/7', 'order/1']);
  expect(choose).toThrow(UsageError);
  expect(choose).toThrow(
    'orders/7, order/1 are no partitions of the pipeline, which has orders/0 to orders/2, payments/0 to payments/2',
  );
});

it('a position is an offset, the start, or a time that means the same everywhere', () => {
  expect(parsePosition('--to', '12')).toBe(12);
  expect(parsePosition('--to', 'earliest')).toBe('earliest');
  const timestampMs = Date.UTC(2026, 0, 31);
  for (const text of ['2026-01-31T00:00:00Z', '2026-01-31T00:00:00.000z', '2026-01-31T02:00:00+02:00'])
    expect(parsePosition('--to', text)).toEqual({ timestampMs });
  for (const text of ['2026-01-31T00:00:00', '2026-01-31T00:00', '2026-01-31T00:00:00.000'])
    expect(() => parsePosition('--to', text)).toThrow(`--to ${text} names no time zone`);
  for (const text of ['2026-01-31', 'latest', '-1', '2026-01-31T25:00:00Z'])
    expect(() => parsePosition('--to', text)).toThrow(UsageError);
});

it('a day that the calendar does not have is refused, and not taken for another day', () => {
  for (const day of ['2026-02-29', '2026-02-31', '2026-04-31', '2100-02-29'])
    for (const zone of ['Z', '+02:00'])
      expect(() => parsePosition('--from', `${day}T00:00:00${zone}`)).toThrow(`the calendar has no day ${day}`);
  for (const day of ['2024-02-29', '2026-01-31', '0001-01-01'])
    expect(parsePosition('--from', `${day}T00:00:00Z`)).toEqual({ timestampMs: Date.parse(`${day}T00:00:00Z`) });
});

it('names a few topics only', () => {
  const many = Array.from({ length: 12 }, (_, index) => ({ topic: `t${index}`, partition: 0 }));
  expect(partitionsText(many)).toMatch(/^t0\/0, .*t9\/0, and those of 2 more topics$/);
  expect(partitionsText([])).toBe('none');
});
