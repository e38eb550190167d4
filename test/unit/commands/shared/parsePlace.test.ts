import { expect, it } from 'vitest';
import { parsePlace } from '../../../../src/commands/shared/parsePlace.js';

it('a place is topic, partition and offset', () => {
  expect(parsePlace('a.b-c_d/0/12')).toEqual({ topic: 'a.b-c_d', partition: 0, offset: 12 });
  for (const text of ['orders', 'orders/1', 'orders/x/1', 'orders/1/-1', 'orders/1/2/3'])
    expect(() => parsePlace(text)).toThrow('is no record');
});
