import kafkajs from 'kafkajs';
import lz4 from 'lz4-napi';
import snappy from 'snappy';
import { compress as zstdCompress } from '../../src/codecs/compression.js';
import { decompress } from '../../src/kafka/kafkajs/decompression.js';

const { CompressionCodecs, CompressionTypes } = kafkajs;

/** Teaches kafkajs, as tests use it, the codecs that it lacks. Idempotent. */
export function registerCodecs(): void {
  const register = (type: keyof typeof CompressionCodecs, compress: (data: Buffer) => Promise<Buffer> | Buffer) => {
    CompressionCodecs[type] = () => ({
      compress: async ({ buffer }: { readonly buffer: Buffer }) => compress(buffer),
      decompress: (data: Buffer) => decompress(type, data),
    });
  };
  register(CompressionTypes.Snappy, (data) => snappy.compress(data));
  register(CompressionTypes.LZ4, (data) => lz4.compressFrame(data));
  register(CompressionTypes.ZSTD, (data) => zstdCompress(data));
}
