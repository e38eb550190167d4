import { expect, test } from 'vitest';
import { AckLedger } from '../../../demo/ackLedger.js';

const inserted = (index: number | undefined) => ({ index, status: 'inserted' });

test('latency is from sending to the first answer; a repeated answer changes nothing', () => {
  const ledger = new AckLedger(3);
  ledger.sending(0, 1_000);
  ledger.sending(1, 1_010);
  ledger.sent(2);
  ledger.received(inserted(1), 1_050);
  ledger.received(inserted(0), 1_200);
  ledger.received(inserted(0), 9_999);
  expect([...ledger.latenciesMs(0, 3)]).toEqual([200, 40, NaN]);
  expect([ledger.produced, ledger.answered, ledger.lastAnswerAtMs]).toEqual([2, 2, 1_200]);
  expect(ledger.inserted.repeated).toBe(1);
});

test('a record that was both rejected and inserted is answered once, and seen as both', () => {
  const ledger = new AckLedger(1);
  ledger.sending(0, 0);
  ledger.received({ index: 0, status: 'rejected', code: 'not_json', message: 'the value is not JSON' }, 10);
  ledger.received(inserted(0), 20);
  expect(ledger.answered).toBe(1);
  expect([ledger.inserted.distinct, ledger.rejected.distinct]).toEqual([1, 1]);
  expect(ledger.rejections).toEqual([{ index: 0, code: 'not_json', message: 'the value is not JSON' }]);
});

test('an answer to nobody is foreign and is no progress', () => {
  const ledger = new AckLedger(1);
  ledger.received(inserted(undefined), 1);
  ledger.received(inserted(1), 1);
  expect([ledger.answered, ledger.inserted.foreign]).toEqual([0, 2]);
});

test('only what was sent is listed as sent', () => {
  const ledger = new AckLedger(4);
  ledger.sending(0, 5);
  ledger.sending(2, 5);
  expect(ledger.sentIndexes(0, 4)).toEqual([0, 2]);
  expect(ledger.sentIndexes(1, 4)).toEqual([2]);
});

test('the reasons that are kept are bounded', () => {
  const ledger = new AckLedger(1_000);
  for (let index = 0; index < 1_000; index++) ledger.received({ index, status: 'rejected' }, 1);
  expect(ledger.rejections).toHaveLength(100);
  expect(ledger.rejected.distinct).toBe(1_000);
});
