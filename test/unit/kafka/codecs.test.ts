import kafkajs from 'kafkajs';
import snappy from 'snappy';
import { beforeAll, expect, it } from 'vitest';
import { registerCodecs } from '../../../src/kafka/codecs.js';

const { CompressionCodecs, CompressionTypes } = kafkajs;
interface Codec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(data: Buffer): Promise<Buffer>;
}
const codec = (type: number) => (CompressionCodecs as Record<number, () => Codec>)[type]!();
const data = Buffer.from('records '.repeat(1_000));

beforeAll(registerCodecs);

for (const name of ['Snappy', 'LZ4', 'ZSTD'] as const) {
  it(`${name}: gives back what it was given`, async () => {
    const tested = codec(CompressionTypes[name]);
    const compressed = await tested.compress({ buffer: data });
    expect(compressed.length).toBeLessThan(data.length);
    expect(await tested.decompress(compressed)).toEqual(data);
  });
}

it('Snappy: reads the stream format of Kafka’s Java clients, with several blocks', async () => {
  const header = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00, 0, 0, 0, 1, 0, 0, 0, 1]);
  const blocks = await Promise.all(
    [data.subarray(0, 5_000), data.subarray(5_000)].map((block) => snappy.compress(block)),
  );
  const framed = blocks.flatMap((block) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    return [length, block];
  });
  expect(await codec(CompressionTypes.Snappy).decompress(Buffer.concat([header, ...framed]))).toEqual(data);
});
