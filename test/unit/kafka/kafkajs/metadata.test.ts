import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { decodeTopicNames } from '../../../../src/kafka/kafkajs/cluster.js';
import { ONLY_BROKERS, repairMetadata, type RawMetadata } from '../../../../src/kafka/kafkajs/metadata.js';
import type { ProtocolRequest } from '../../../../src/kafka/kafkajs/protocolRequest.js';

const require = createRequire(import.meta.url);
const requests = require('kafkajs/src/protocol/requests/metadata') as {
  versions: string[];
  protocol: (version: { version: number }) => (asked: { topics: string[] }) => ProtocolRequest<RawMetadata>;
};
const Encoder = require('kafkajs/src/protocol/encoder') as new () => Encoding;
interface Encoding {
  buffer: Buffer;
  writeInt32: (value: number) => Encoding;
  writeInt16: (value: number) => Encoding;
  writeInt8: (value: number) => Encoding;
  writeString: (value: string | null) => Encoding;
}

const LEADER_NOT_AVAILABLE = 5;
const UNKNOWN_TOPIC = 3;
const INVALID_TOPIC = 17;
const TOPIC_AUTHORIZATION_FAILED = 29;

/** An answer as a broker writes it: a topic with an error, and one whose second partition has no leader. */
function answer(version: number, topicError = 0): Buffer {
  const out = new Encoder();
  const numbers = (...list: number[]) => {
    out.writeInt32(list.length);
    for (const number of list) out.writeInt32(number);
  };
  if (version >= 3) out.writeInt32(0);
  out.writeInt32(1).writeInt32(7).writeString('broker-ü').writeInt32(9092);
  if (version >= 1) out.writeString(null);
  if (version >= 2) out.writeString('c1');
  if (version >= 1) out.writeInt32(7);
  out.writeInt32(2);
  for (const [topic, error] of [
    ['strängers', topicError],
    ['orders', 0],
  ] as const) {
    out.writeInt16(error).writeString(topic);
    if (version >= 1) out.writeInt8(0);
    out.writeInt32(2);
    for (const [partition, leader] of [
      [0, 7],
      [1, -1],
    ] as const) {
      out
        .writeInt16(leader < 0 ? LEADER_NOT_AVAILABLE : 0)
        .writeInt32(partition)
        .writeInt32(leader);
      numbers(7, 8);
      numbers(7);
      if (version >= 5) numbers(8, 9, 10);
    }
  }
  return out.buffer;
}

async function parsed(version: number, topics: string[], topicError?: number): Promise<RawMetadata> {
  const { response } = requests.protocol({ version })({ topics });
  return response.parse(await response.decode(answer(version, topicError)));
}

repairMetadata();
const versions = requests.versions.map(Number);

it.each(versions)('version %i: a partition without a leader hides no other, and no other topic', async (version) => {
  for (const topics of [['orders', 'strängers'], []]) {
    const { topicMetadata } = await parsed(version, topics);
    expect(topicMetadata.map(({ partitionMetadata }) => partitionMetadata.map(({ leader }) => leader))).toEqual([
      [7, -1],
      [7, -1],
    ]);
  }
});

it.each(versions)(
  'version %i: the error of a topic counts for who named it, not for who asked for all',
  async (version) => {
    await expect(parsed(version, ['orders', 'strängers'], LEADER_NOT_AVAILABLE)).rejects.toMatchObject({
      type: 'LEADER_NOT_AVAILABLE',
    });
    expect((await parsed(version, [], LEADER_NOT_AVAILABLE)).topicMetadata.map(({ topic }) => topic)).toEqual([
      'orders',
    ]);
  },
);

it.each(
  versions.flatMap((version) =>
    (
      [
        [UNKNOWN_TOPIC, 'UNKNOWN_TOPIC_OR_PARTITION'],
        [INVALID_TOPIC, 'INVALID_TOPIC_EXCEPTION'],
        [TOPIC_AUTHORIZATION_FAILED, 'TOPIC_AUTHORIZATION_FAILED'],
      ] as const
    ).map(([code, type]) => [version, type, code] as const),
  ),
)(
  'version %i: a named topic that is not to be had (%s) hides no other; where it is the only one, it is an error',
  async (version, type, code) => {
    const { topicMetadata } = await parsed(version, ['orders', 'strängers'], code);
    expect(topicMetadata.map(({ topic }) => topic)).toEqual(['orders']);
    const { response } = requests.protocol({ version })({ topics: ['strängers'] });
    const decoded = await response.decode(answer(version, code));
    const alone = { ...decoded, topicMetadata: decoded.topicMetadata.slice(0, 1) };
    await expect(response.parse(alone)).rejects.toMatchObject({ type });
  },
);

it.each(versions)('version %i: the names of topics are read without what is beside them', (version) => {
  expect(decodeTopicNames(answer(version), version)).toEqual(['strängers', 'orders']);
  expect(decodeTopicNames(answer(version, UNKNOWN_TOPIC), version)).toEqual(['orders']);
});

it.each(versions.filter((version) => version > 0))(
  'version %i: who needs the brokers asks for no topic, who wants all for all',
  async (version) => {
    const lengthOf = async (topics: string[]) =>
      ((await requests.protocol({ version })({ topics }).request.encode()) as Encoding).buffer.readInt32BE(0);
    expect(await lengthOf([ONLY_BROKERS])).toBe(0);
    expect(await lengthOf([])).toBe(-1);
    expect(await lengthOf(['orders'])).toBe(1);
  },
);

it('a client without topics of its own asks for the brokers only', async () => {
  const BrokerPool = require('kafkajs/src/cluster/brokerPool') as {
    prototype: { refreshMetadata: (topics: string[]) => Promise<void> };
  };
  const asked: string[][] = [];
  const broker = { metadata: (topics: string[]) => (asked.push(topics), Promise.resolve({ brokers: [] })) };
  const pool = {
    findConnectedBroker: () => Promise.resolve(broker),
    seedBroker: { connectionPool: {} },
    retrier: (work: () => Promise<void>) => work(),
    brokers: {},
  };
  for (const topics of [[], ['orders']]) await BrokerPool.prototype.refreshMetadata.call(pool, topics);
  expect(asked).toEqual([[ONLY_BROKERS], ['orders']]);
});
