import { expect, it } from 'vitest';
import { MalformedError } from '../../../../src/kafka/kafkajs/cursor.js';
import { ONLY_BROKERS } from '../../../../src/kafka/kafkajs/metadata.js';
import { decodeTopicIds, topicIdsRequest } from '../../../../src/kafka/kafkajs/topicIds.js';

const ID = '00112233445566778899aabbccddeeff';
const text = (value: string) =>
  `${Buffer.from([Buffer.byteLength(value) + 1]).toString('hex')}${Buffer.from(value).toString('hex')}`;
const int32 = (value: number) =>
  Buffer.from(new Int32Array([value]).buffer)
    .reverse()
    .toString('hex');
const numbers = (...list: number[]) => `0${list.length + 1}${list.map(int32).join('')}`;

/** An answer as a broker writes it, with tags that nobody knows. */
const ANSWER = [
  '00', // The header's tags.
  int32(0),
  `02${int32(7)}${text('broker-ü')}${int32(9092)}0000`,
  text('c1'),
  int32(7),
  '03',
  `0000${text('orders')}${ID}00`,
  `030000${int32(0)}${int32(7)}${int32(3)}${numbers(7, 8)}${numbers(7)}${numbers()}00`,
  `0005${int32(1)}${int32(-1)}${int32(3)}${numbers(7, 8)}${numbers()}${numbers(7, 8)}00`,
  `${int32(-2147483648)}010502ffff`,
  `0003${text('gone')}${'00'.repeat(16)}0001${int32(-2147483648)}00`,
  `${int32(-2147483648)}00`,
].join('');

it('the id of each topic is read with what else the answer says, also if a partition has no leader', () => {
  expect(decodeTopicIds(Buffer.from(ANSWER, 'hex'))).toEqual({
    clusterId: 'c1',
    brokers: [{ nodeId: 7, host: 'broker-ü', port: 9092 }],
    topicMetadata: [
      {
        ...{ topicErrorCode: 0, topic: 'orders', topicId: ID },
        partitionMetadata: [
          { partitionErrorCode: 0, partitionId: 0, leader: 7, replicas: [7, 8] },
          { partitionErrorCode: 5, partitionId: 1, leader: -1, replicas: [7, 8] },
        ],
      },
      { topicErrorCode: 3, topic: 'gone', partitionMetadata: [] },
    ],
  });
});

it('an answer that ends too soon is an error, wherever it ends', () => {
  const whole = Buffer.from(ANSWER, 'hex');
  // After the topics come only rights and tags, which are not read.
  for (let length = 0; length < whole.length - 5; length++)
    expect(() => decodeTopicIds(whole.subarray(0, length))).toThrow(MalformedError);
});

it('topics are asked for by their names, and nothing is created', async () => {
  const encoded = async (topics: string[]) =>
    ((await topicIdsRequest(topics).request.encode()) as { buffer: Buffer }).buffer.toString('hex');
  expect(await encoded(['orders'])).toBe(`0002${'00'.repeat(16)}${text('orders')}0000000000`);
  expect(await encoded([ONLY_BROKERS])).toBe('000100000000');
});
