import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Stack } from '../../stack/index.js';
import { decompress } from '../../src/codecs/compression.js';
import { DECOMPRESSED_BYTES_MAX } from '../../src/kafka/kafkajs/decompression.js';

const SCRIPT = fileURLToPath(new URL('./sqliteValues.py', import.meta.url));
const BYTES_MAX = 512 * 1024 * 1024;

/** What Temporal has stored: every text and all bytes in its database, and beside them what of it is compressed. */
export async function storedIn(stack: Stack): Promise<readonly Buffer[]> {
  const [file] = readdirSync(stack.dataDir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('temporal.db'),
  );
  if (file === undefined) throw new Error(`there is no database of Temporal in ${stack.dataDir}`);
  const options = { encoding: 'buffer', maxBuffer: BYTES_MAX } as const;
  const { stdout } = await promisify(execFile)('python3', [SCRIPT, join(stack.dataDir, file)], options);
  const values: Buffer[] = [];
  for (let at = 0; at < stdout.length;) {
    const length = stdout.readUInt32BE(at);
    const value = stdout.subarray(at + 4, at + 4 + length);
    values.push(value, ...framesIn(value));
    at += 4 + length;
  }
  return values;
}

const MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** The Zstandard frames in some bytes, decompressed. */
function framesIn(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = bytes.indexOf(MAGIC); at >= 0; at = bytes.indexOf(MAGIC, at + 1)) {
    const end = endOfFrame(bytes, at);
    if (end === null) continue;
    try {
      frames.push(decompress(bytes.subarray(at, end), DECOMPRESSED_BYTES_MAX));
    } catch {
      // The four bytes were there by chance.
      continue;
    }
  }
  return frames;
}

/** Null if it is no whole frame. Source: RFC 8878, 3.1.1. */
function endOfFrame(bytes: Buffer, start: number): number | null {
  const descriptor = bytes[start + 4] ?? 0;
  const isSingle = (descriptor & 0x20) !== 0;
  const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  let at = start + 5 + (isSingle ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] ?? 0) + sizeBytes;
  for (let isLast = false; !isLast;) {
    if (at + 3 > bytes.length) return null;
    const header = bytes.readUIntLE(at, 3);
    isLast = (header & 1) === 1;
    const isRepeated = ((header >> 1) & 3) === 1;
    at += 3 + (isRepeated ? 1 : header >> 3);
  }
  const end = at + ((descriptor & 4) === 0 ? 0 : 4);
  return end <= bytes.length ? end : null;
}
