/**
 * As much of Kafka's protocol as a proxy has to know: where a request or an answer ends, what was asked, and at which
 * addresses brokers say that they are. Source: https://kafka.apache.org/protocol
 */

/** What a proxy can wait for, with the number that a request of it begins with. */
export const KAFKA_REQUESTS = {
  produce: 0,
  fetch: 1,
  commit: 8,
  joinGroup: 11,
  heartbeat: 12,
  syncGroup: 14,
} as const;
export type KafkaRequest = keyof typeof KAFKA_REQUESTS;

const SIZE_BYTES = 4;
/** Kafka's own limit for a request is 100 MiB. */
const FRAME_BYTES_MAX = 128 * 1024 * 1024;

/**
 * Cuts what comes on a connection into frames: a length and as many bytes. What is no frame is passed as it is: a client may
 * ask whether a broker speaks TLS.
 */
export class FrameReader {
  #pieces: Buffer[] = [];
  #bytes = 0;
  #wanted = SIZE_BYTES;
  #isKafka = true;

  /** The frames that are complete now, each with its length before it. */
  take(data: Buffer): Buffer[] {
    if (!this.#isKafka) return [data];
    this.#pieces.push(data);
    this.#bytes += data.length;
    const frames: Buffer[] = [];
    while (this.#bytes >= this.#wanted) {
      const all = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces, this.#bytes);
      const end = SIZE_BYTES + all.readUInt32BE(0);
      if (end > FRAME_BYTES_MAX) {
        this.#isKafka = false;
        return [...frames, all];
      }
      if (all.length >= end) frames.push(all.subarray(0, end));
      const rest = all.length >= end ? all.subarray(end) : all;
      this.#wanted = all.length >= end ? SIZE_BYTES : end;
      this.#pieces = [rest];
      this.#bytes = rest.length;
    }
    return frames;
  }
}

const REQUEST_HEAD_BYTES = 12;

/** The number of the request in a frame, and the id by which its answer is known; undefined if it is no request. */
export function requestIn(frame: Buffer): { key: number; correlation: number } | undefined {
  if (frame.length < REQUEST_HEAD_BYTES) return undefined;
  return { key: frame.readInt16BE(SIZE_BYTES), correlation: frame.readInt32BE(SIZE_BYTES + 4) };
}

/** The id of the request that a frame answers; undefined if it is no answer. */
export function answeredIn(frame: Buffer): number | undefined {
  return frame.length < 2 * SIZE_BYTES ? undefined : frame.readInt32BE(SIZE_BYTES);
}

/** Puts other ports in the place of brokers' ports in an answer, where these follow their host. */
export class AddressMap {
  readonly #ports: readonly { readonly told: Buffer; readonly tells: Buffer }[];

  /** @param ports what a broker tells, and what its clients are to be told */
  constructor(host: string, ports: ReadonlyMap<number, number>) {
    // A host has its length before it, in two bytes or, in newer versions, plus one in one byte.
    const heads = [Buffer.from([0, host.length]), Buffer.from([host.length + 1])];
    this.#ports = [...ports].flatMap(([from, to]) =>
      heads.map((head) => ({ told: address(head, host, from), tells: address(head, host, to) })),
    );
  }

  /** A copy if something was replaced. */
  replaced(frame: Buffer): Buffer {
    let copy = frame;
    for (const { told, tells } of this.#ports) {
      for (let at = frame.indexOf(told); at >= 0; at = frame.indexOf(told, at + told.length)) {
        if (copy === frame) copy = Buffer.from(frame);
        tells.copy(copy, at);
      }
    }
    return copy;
  }
}

function address(head: Buffer, host: string, port: number): Buffer {
  const number = Buffer.alloc(4);
  number.writeInt32BE(port);
  return Buffer.concat([head, Buffer.from(host), number]);
}
