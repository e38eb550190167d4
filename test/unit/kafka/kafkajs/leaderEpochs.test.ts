import { expect, it } from 'vitest';
import { MalformedError } from '../../../../src/kafka/kafkajs/cursor.js';
import { decodeEpochEnd, epochEndRequest } from '../../../../src/kafka/kafkajs/leaderEpochs.js';

/** An answer of version 2 as a broker writes it: topic `orders`, partition 3, epoch 5 ends at 300. */
const ANSWER = `00000000 00000001 0006 ${Buffer.from('orders').toString('hex')} 00000001 0000 00000003 00000005 000000000000012c`;
const answer = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

it('asks for the end of one leader epoch of one partition', async () => {
  const { request } = epochEndRequest('orders', 3, 5);
  expect(request.apiVersion).toBe(2);
  const { buffer } = (await request.encode()) as { buffer: Buffer };
  expect(buffer.toString('hex')).toBe(
    `000000010006${Buffer.from('orders').toString('hex')}0000000100000003ffffffff00000005`,
  );
});

it('reads which epoch the leader has, where it ends, and why that is not known', () => {
  expect(decodeEpochEnd(answer(ANSWER))).toEqual({ errorCode: 0, leaderEpoch: 5, endOffset: 300 });
  const unknown = ANSWER.replace('0000 00000003 00000005', '0006 00000003 ffffffff').replace(
    '000000000000012c',
    'ffffffffffffffff',
  );
  expect(decodeEpochEnd(answer(unknown))).toEqual({ errorCode: 6, leaderEpoch: -1, endOffset: -1 });
});

it('an answer that ends too soon is an error, wherever it ends', () => {
  const whole = answer(ANSWER);
  for (let length = 0; length < whole.length; length++)
    expect(() => decodeEpochEnd(whole.subarray(0, length))).toThrow(MalformedError);
});
