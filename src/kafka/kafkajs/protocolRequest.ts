import { internalModule } from './internals.js';

/** A request in a version that the broker knows, and the decoder for its answer. */
export interface ProtocolRequest<Answer> {
  readonly request: { apiVersion: number; encode: () => Promise<unknown> };
  readonly response: { decode: (raw: Buffer) => Promise<Answer>; parse: (data: Answer) => Promise<Answer> };
}

/** `protocol/encoder` of kafkajs: bytes that grow. */
export interface Encoding {
  writeInt8: (value: number) => Encoding;
  writeInt32: (value: number) => Encoding;
  writeInt64: (value: string) => Encoding;
  writeBoolean: (value: boolean) => Encoding;
  writeString: (value: string | null) => Encoding;
  writeArray: (array: unknown[]) => Encoding;
  writeUVarInt: (value: number) => Encoding;
  writeUVarIntBytes: (value: string) => Encoding;
  writeBufferInternal: (bytes: Buffer) => void;
}

/** An encoding without bytes. */
export function newEncoding(): Encoding {
  const Encoder = internalModule('protocol/encoder') as new () => Encoding;
  return new Encoder();
}

/** A request that kafkajs does not have, or not in this version. Errors in the answer are for the caller to read. */
export function protocolRequest<Answer>(
  api: { readonly apiKey: number; readonly apiVersion: number; readonly apiName: string },
  encode: () => Encoding,
  decode: (raw: Buffer) => Answer,
): ProtocolRequest<Answer> {
  const request = { ...api, encode: () => Promise.resolve(encode()) };
  return {
    request,
    response: { decode: (raw) => Promise.resolve(raw).then(decode), parse: (data) => Promise.resolve(data) },
  };
}
