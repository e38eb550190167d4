import { expect, test } from 'vitest';
import { earthquakes, flights, sendingOrder } from '../../../demo/datasets.js';

test('flights are repeated with ids of their own', () => {
  const dataset = flights(50_000);
  const [first, again] = [0, 20_000].map((index) => dataset.record(index));
  expect(JSON.parse(first?.value ?? '')).toEqual({
    id: 0,
    date: '2001/01/01 00:47',
    delay: 66,
    distance: 1750,
    origin: 'DTW',
    destination: 'LAS',
  });
  expect(first?.key).toBe('DTW');
  expect(again).toEqual({ key: 'DTW', value: first?.value.replace('"id":0', '"id":20000') });
});

test('the bad flights are not good: not JSON, no object, or of another type', () => {
  const dataset = flights(10);
  const values = [10, 11, 12].map((index) => dataset.record(index).value);
  expect(dataset.badRecords).toBe(3);
  expect(() => JSON.parse(values[0] ?? '') as unknown).toThrow();
  expect(JSON.parse(values[1] ?? '')).toBeInstanceOf(Array);
  expect(JSON.parse(values[2] ?? '')).toMatchObject({ delay: 'late' });
});

test('a row leads back to its record', () => {
  const flown = flights(10);
  expect(['0', '9', '12', '13', '-1', 'x'].map((id) => flown.indexOfRow(id))).toEqual([
    ...[0, 9, 12, undefined],
    ...[undefined, undefined],
  ]);
  const quakes = earthquakes();
  expect(quakes.records).toBe(1_707);
  for (const index of [0, 1_706]) {
    const { id } = JSON.parse(quakes.record(index).value) as { id: string };
    expect(quakes.indexOfRow(id)).toBe(index);
  }
  expect(quakes.indexOfRow('nowhere')).toBeUndefined();
});

test('every good record goes out once and in order, the bad ones in their midst', () => {
  expect(sendingOrder({ records: 5, badRecords: 2 })).toEqual([0, 1, 5, 6, 2, 3, 4]);
  expect(sendingOrder({ records: 1, badRecords: 1 })).toEqual([1, 0]);
  expect(sendingOrder({ records: 3, badRecords: 0 })).toEqual([0, 1, 2]);
});
