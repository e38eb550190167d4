import { gzipSync } from 'node:zlib';
import lz4 from 'lz4-napi';
import snappy from 'snappy';
import { expect, it } from 'vitest';
import { compress as zstdCompress } from '../../../../src/codecs/compression.js';
import { decompress, DECOMPRESSED_BYTES_MAX, TooLargeError } from '../../../../src/kafka/kafkajs/decompression.js';
import { MalformedError, UnsupportedError } from '../../../../src/kafka/kafkajs/cursor.js';

const CODECS = {
  gzip: { id: 1, compress: (data: Buffer) => gzipSync(data, { level: 1 }) },
  snappy: { id: 2, compress: (data: Buffer) => snappy.compressSync(data) },
  'snappy, as Kafka’s Java clients frame it': { id: 2, compress: xerial },
  lz4: { id: 3, compress: (data: Buffer) => lz4.compressFrameSync(data) },
  zstd: { id: 4, compress: (data: Buffer) => zstdCompress(data) },
};

/** Blocks of snappy behind a header, each behind its length. */
function xerial(data: Buffer): Buffer {
  const parts: Buffer[] = [Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00, 0, 0, 0, 1, 0, 0, 0, 1])];
  for (let at = 0; at < data.length; at += 32_768) {
    const block = snappy.compressSync(data.subarray(at, at + 32_768));
    parts.push(uint32(block.length), block);
  }
  return Buffer.concat(parts);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

for (const [name, { id, compress }] of Object.entries(CODECS)) {
  it(`${name}: gives back what was compressed, small and large`, async () => {
    for (const words of [1, 1_000, 100_000]) {
      const data = Buffer.from(Array.from({ length: words }, (_, index) => `record ${index} `).join(''));
      expect((await decompress(id, compress(data))).equals(data)).toBe(true);
    }
  });

  it(`${name}: what is cut off or changed is not taken for what no version can read`, async () => {
    const whole = compress(Buffer.from('records '.repeat(50_000)));
    for (const length of [1, 5, Math.floor(whole.length / 2), whole.length - 5])
      await expect(decompress(id, whole.subarray(0, length)), `${length} bytes`).rejects.toThrow(UnsupportedError);
    const small = compress(Buffer.from('records '.repeat(100)));
    for (let at = 0; at < Math.min(small.length, 32); at++) {
      for (const byte of [0x00, 0xff]) {
        const changed = Buffer.from(small);
        changed[at] = byte;
        // It may be readable by chance, or say that it is too large.
        const error = await decompress(id, changed).catch((reason: unknown) => reason);
        if (!Buffer.isBuffer(error) && !(error instanceof TooLargeError))
          expect(error).toBeInstanceOf(UnsupportedError);
      }
    }
  });
}

const MIB = Buffer.alloc(1024 * 1024);
/** So many times a mebibyte is one more than what is taken. */
const TIMES = DECOMPRESSED_BYTES_MAX / MIB.length + 1;
const repeated = (part: Buffer) => Buffer.concat(Array.from({ length: TIMES }, () => part));
const BOMBS: Readonly<Record<keyof typeof CODECS, Buffer>> = {
  gzip: repeated(gzipSync(MIB)),
  snappy: Buffer.concat([Buffer.from([0x81, 0x80, 0x80, 0x80, 0x01]), snappy.compressSync(MIB)]),
  'snappy, as Kafka’s Java clients frame it': Buffer.concat([
    xerial(Buffer.alloc(0)),
    repeated(Buffer.concat([uint32(snappy.compressSync(MIB).length), snappy.compressSync(MIB)])),
  ]),
  lz4: lz4.compressFrameSync(Buffer.alloc(MIB.length * TIMES)),
  zstd: repeated(zstdCompress(MIB)),
};

for (const [name, { id }] of Object.entries(CODECS)) {
  it(`${name}: more than the bound is refused before it is in memory`, async () => {
    const before = process.memoryUsage().arrayBuffers;
    await expect(decompress(id, BOMBS[name as keyof typeof CODECS])).rejects.toThrow(MalformedError);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(DECOMPRESSED_BYTES_MAX);
  });
}

it('snappy: streams of Java clients that follow each other are read as one, as brokers read them', async () => {
  const parts = ['one '.repeat(20_000), 'two', ''].map((text) => Buffer.from(text));
  const data = Buffer.concat([...parts.map(xerial), Buffer.of(1, 2, 3)]);
  expect((await decompress(2, data)).equals(Buffer.concat(parts))).toBe(true);
  // A header of another version is none.
  const other = xerial(Buffer.from('three'));
  await expect(decompress(2, Buffer.concat([data.subarray(0, -3), other.subarray(0, 12)]))).rejects.toThrow(
    UnsupportedError,
  );
});

it('an unknown codec is malformed', async () => {
  await expect(decompress(5, Buffer.alloc(10))).rejects.toThrow('codec 5 is unknown');
});

it('zstd: many small frames count as what they hold, not as what they might', async () => {
  const record = Buffer.from(`{"id":1,"text":"${'x'.repeat(100)}"}`);
  const frames = Buffer.concat(Array.from({ length: 2_100 }, () => zstdCompress(record)));
  expect((await decompress(4, frames)).length).toBe(2_100 * record.length);
  await expect(decompress(4, frames, 2_000 * record.length)).rejects.toThrow(TooLargeError);
});

it('lz4: many small blocks count as what they hold, not as what they might', async () => {
  const block = (data: Buffer, isCompressed: boolean) => {
    const header = Buffer.alloc(4);
    header.writeUInt32LE((data.length | (isCompressed ? 0 : 0x80000000)) >>> 0);
    return Buffer.concat([header, data]);
  };
  // 300 times the same byte: a literal, and a match of 299 with what is just before.
  const compressed = Buffer.from([0x1f, 0x78, 0x01, 0x00, 255, 299 - 4 - 15 - 255]);
  const tail = Buffer.from([0x50, ...Buffer.from('12345')]);
  const blocks = [block(Buffer.alloc(100, 'x'), false), block(Buffer.concat([compressed, tail]), true)];
  const begin = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73]);
  const frame = Buffer.concat([begin, ...Array.from({ length: 40 }, () => blocks).flat(), Buffer.alloc(4)]);
  const whole = await decompress(3, frame);
  expect(whole.length).toBe(40 * (100 + 300 + 5));
  await expect(decompress(3, frame, whole.length)).resolves.toHaveLength(whole.length);
  await expect(decompress(3, frame, whole.length - 1)).rejects.toThrow(TooLargeError);
});
