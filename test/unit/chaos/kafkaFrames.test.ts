import { expect, it } from 'vitest';
import { AddressMap, answeredIn, FrameReader, requestIn } from '../../../chaos/kafkaFrames.js';

function frame(body: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(body.length);
  return Buffer.concat([size, body]);
}

it('finds the same frames however the bytes are cut', () => {
  const frames = [frame(Buffer.from('one')), frame(Buffer.alloc(0)), frame(Buffer.alloc(5_000, 7))];
  const bytes = Buffer.concat(frames);
  for (const size of [1, 2, 3, 5, 7, 1_000, bytes.length]) {
    const reader = new FrameReader();
    const found: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) found.push(...reader.take(bytes.subarray(at, at + size)));
    expect(found).toEqual(frames);
  }
});

it('passes what is not Kafka as it is', () => {
  const reader = new FrameReader();
  const hello = Buffer.from([0x16, 0x03, 0x01]);
  expect(reader.take(hello)).toEqual([]);
  expect(reader.take(Buffer.from([0x05]))).toEqual([Buffer.from([0x16, 0x03, 0x01, 0x05])]);
  expect(reader.take(hello)).toEqual([hello]);
  expect(requestIn(hello)).toBeUndefined();
});

it('reads which request it is, and which one an answer is for', () => {
  const request = Buffer.from([0, 8, 0, 2, 0, 0, 1, 4, 9, 9]);
  expect(requestIn(frame(request))).toEqual({ key: 8, correlation: 260 });
  expect(answeredIn(frame(Buffer.from([0, 0, 1, 4, 9])))).toBe(260);
});

it('puts other ports behind the host in the old and in the compact form, and leaves everything else alone', () => {
  const host = '127.0.0.1';
  const port = (number: number): Buffer => Buffer.from([0, 0, number >> 8, number & 255]);
  const answer = (...ports: number[]): Buffer =>
    Buffer.concat([
      ...[Buffer.from([0, host.length]), Buffer.from(host), port(ports[0]!)],
      ...[Buffer.from([host.length + 1]), Buffer.from(host), port(ports[1]!)],
      Buffer.from(`${host}:19001`),
    ]);
  const map = new AddressMap(
    host,
    new Map([
      [19_001, 20_001],
      [19_002, 20_002],
    ]),
  );
  expect(map.replaced(answer(19_001, 19_002))).toEqual(answer(20_001, 20_002));
  const other = answer(19_003, 19_004);
  expect(map.replaced(other)).toBe(other);
});
