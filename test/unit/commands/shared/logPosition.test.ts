import { expect, it } from 'vitest';
import { parsePosition } from '../../../../src/commands/shared/logPosition.js';
import { UsageError } from '../../../../src/lib/usageError.js';

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
