/**
 * As much of HTTP/2 as a proxy has to know: which method of Temporal a stream calls, and which streams an answer has
 * something of. Sources: RFC 9113 (frames), RFC 7541 (how headers are written), https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */

/** What a proxy can wait for: methods of Temporal's service. */
export const TEMPORAL_REQUESTS = {
  signal: ['SignalWithStartWorkflowExecution', 'SignalWorkflowExecution'],
  start: ['StartWorkflowExecution'],
  describe: ['DescribeWorkflowExecution', 'QueryWorkflow', 'GetWorkflowExecutionHistory'],
  poll: ['PollWorkflowTaskQueue', 'PollActivityTaskQueue'],
  taskCompleted: ['RespondWorkflowTaskCompleted'],
  activityCompleted: ['RespondActivityTaskCompleted', 'RespondActivityTaskFailed'],
  activityHeartbeat: ['RecordActivityTaskHeartbeat'],
} as const satisfies Record<string, readonly string[]>;
export type TemporalRequest = keyof typeof TEMPORAL_REQUESTS;

const SERVICE = '/temporal.api.workflowservice.v1.WorkflowService/';
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const HEAD_BYTES = 9;
/** The default of 16 KiB may be raised up to this. */
const FRAME_BYTES_MAX = 2 ** 24;
const FRAME_TYPE = { data: 0, headers: 1, continuation: 9 } as const;

/** A frame, its nine bytes of head included. */
export interface Frame {
  readonly type: number;
  readonly stream: number;
  readonly bytes: Buffer;
}

/** Cuts what comes on a connection into frames. What is no HTTP/2 is one frame of type -1, as it came. */
export class Http2Reader {
  #rest: Buffer = Buffer.alloc(0);
  #awaitsPreface: boolean;
  #isHttp2 = true;

  /** @param fromClient a client begins with a preface */
  constructor(fromClient: boolean) {
    this.#awaitsPreface = fromClient;
  }

  /** The frames that are complete now. The preface is one of type -1, too. */
  take(data: Buffer): Frame[] {
    if (!this.#isHttp2) return [opaque(data)];
    this.#rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    const frames: Frame[] = [];
    if (this.#awaitsPreface) {
      const length = Math.min(this.#rest.length, PREFACE.length);
      if (!this.#rest.subarray(0, length).equals(PREFACE.subarray(0, length))) return [this.#giveUp()];
      if (length < PREFACE.length) return [];
      this.#awaitsPreface = false;
      frames.push(opaque(this.#rest.subarray(0, length)));
      this.#rest = this.#rest.subarray(length);
    }
    while (this.#rest.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + this.#rest.readUIntBE(0, 3);
      if (end > FRAME_BYTES_MAX) return [...frames, this.#giveUp()];
      if (this.#rest.length < end) break;
      const bytes = this.#rest.subarray(0, end);
      frames.push({ type: bytes.readUInt8(3), stream: bytes.readUInt32BE(5) & 0x7fffffff, bytes });
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }

  #giveUp(): Frame {
    this.#isHttp2 = false;
    return opaque(this.#rest);
  }
}

function opaque(bytes: Buffer): Frame {
  return { type: -1, stream: 0, bytes };
}

/** What a frame of a client asks for; undefined if it is no request that can be waited for. */
export function calledIn({ type, bytes }: Frame): TemporalRequest | undefined {
  if (type !== FRAME_TYPE.headers && type !== FRAME_TYPE.continuation) return undefined;
  return WRITTEN_PATHS.find(({ written }) => bytes.includes(written))?.request;
}

/** Whether a frame of a server has a part of the answer on its stream. */
export function answers({ type }: Frame): boolean {
  return type === FRAME_TYPE.headers || type === FRAME_TYPE.data;
}

/**
 * Huffman codes of RFC 7541, appendix B, as far as paths need them: codes of one length follow one another, and the next
 * length goes on where the last one ended.
 */
const CODES_BY_LENGTH: readonly (readonly [bits: number, symbols: string])[] = [
  [5, '012aceiost'],
  [6, ' %-./3456789=A_bdfghlmnpru'],
  [7, ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  [8, '&*,;XZ'],
];

const CODES: ReadonlyMap<string, string> = codes();

function codes(): Map<string, string> {
  const found = new Map<string, string>();
  let [code, length] = [0, 0];
  for (const [bits, symbols] of CODES_BY_LENGTH) {
    code <<= bits - length;
    length = bits;
    for (const symbol of symbols) found.set(symbol, (code++).toString(2).padStart(bits, '0'));
  }
  return found;
}

/** A text as HPACK writes it to save bytes. */
export function huffman(text: string): Buffer {
  const bits = Array.from(text, (symbol) => CODES.get(symbol) ?? '').join('');
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
  return Buffer.from((padded.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
}

/**
 * Neither Rust's h2, which the daemon uses, nor nghttp2 puts a `:path` into the table of headers that later requests refer
 * to. So each request has the whole path, with its length before it: as Huffman codes, or as it is.
 */
const WRITTEN_PATHS: readonly { readonly request: TemporalRequest; readonly written: Buffer }[] = (
  Object.keys(TEMPORAL_REQUESTS) as TemporalRequest[]
).flatMap((request) =>
  TEMPORAL_REQUESTS[request].flatMap((method) => {
    const path = `${SERVICE}${method}`;
    const coded = huffman(path);
    return [
      { request, written: Buffer.concat([Buffer.from([0x80 | coded.length]), coded]) },
      { request, written: Buffer.concat([Buffer.from([path.length]), Buffer.from(path)]) },
    ];
  }),
);
