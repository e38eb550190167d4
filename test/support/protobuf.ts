import { fileURLToPath } from 'node:url';
import { pythonWith } from '../../stack/python.js';
import { VERSIONS } from '../../stack/versions.js';
import { answersOf, withSchemaId } from './avro.js';
import { reportSetUp } from './useStack.js';

const SCRIPT = fileURLToPath(new URL('protobufWriter.py', import.meta.url));

/** Files of a schema, by their paths. */
export type ProtobufFiles = Readonly<Record<string, string>>;

/** A message to be written, see `protobufWriter.py`. */
export interface MessageToWrite {
  readonly files: ProtobufFiles;
  /** The name of the message, with its package. */
  readonly message: string;
  /** In the form of Protobuf's JSON. */
  readonly value: object;
}

/** What Python's Protobuf writes of each message: no part of what is tested here. */
export async function writeProtobuf(messages: readonly MessageToWrite[]): Promise<Buffer[]> {
  return (await answersOf(await python(), SCRIPT, messages)).map((line) => Buffer.from(line, 'base64'));
}

/** Messages that Python makes, and what it says has to be in the columns of each of them. */
export async function randomProtobuf(
  files: ProtobufFiles,
  message: string,
  random: number,
  seed: number,
): Promise<{ readonly bytes: Buffer; readonly columns: Readonly<Record<string, unknown>> }[]> {
  const [line = ''] = await answersOf(await python(), SCRIPT, [{ files, message, random, seed }]);
  const made = JSON.parse(line) as { readonly bytes: string; readonly columns: Readonly<Record<string, unknown>> }[];
  return made.map(({ bytes, columns }) => ({ bytes: Buffer.from(bytes, 'base64'), columns }));
}

function python(): Promise<string> {
  return pythonWith('grpcio-tools', VERSIONS.grpcioTools, reportSetUp);
}

/**
 * Puts the header of a serializer with a schema registry before a message: the schema's id, and which of its messages it
 * is, as Confluent's serializers write it. The first one of the file is a zero alone.
 */
export function withMessageIndexes(id: number, payload: Uint8Array, indexes: readonly number[] = [0]): Buffer {
  const isFirst = indexes.length === 1 && indexes[0] === 0;
  // Each number is below 64, so that it takes one byte with its sign.
  const numbers = isFirst ? [0] : [indexes.length, ...indexes].map((number) => number * 2);
  return withSchemaId(id, Buffer.concat([Buffer.from(numbers), payload]));
}
