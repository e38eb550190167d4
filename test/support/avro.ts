import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { VERSIONS } from '../../stack/versions.js';
import { registerSchema, type SchemaReference } from '../../stack/native/registry.js';
import { pythonWith } from '../../stack/python.js';
import { reportSetUp } from './useStack.js';

const SCRIPT = fileURLToPath(new URL('avroWriter.py', import.meta.url));

/** A value to be written, see `avroWriter.py`. */
export interface ToWrite {
  readonly schema: unknown;
  /** Schemas that it refers to. */
  readonly named?: readonly unknown[];
  readonly value: unknown;
}

/** What Python's fastavro writes of each value: no part of what is tested here. */
export async function writeAvro(values: readonly ToWrite[]): Promise<Buffer[]> {
  const python = await pythonWith('fastavro', VERSIONS.fastavro, reportSetUp);
  return (await answersOf(python, SCRIPT, values)).map((line) => Buffer.from(line, 'base64'));
}

/** The lines that a script of Python writes, one for each request. */
export async function answersOf(python: string, script: string, requests: readonly object[]): Promise<string[]> {
  const output = await new Promise<string>((resolve, reject) => {
    const options = { timeout: 120_000, maxBuffer: 256 * 1024 * 1024 };
    const child = execFile(python, [script], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${error.message}\n${stderr}`));
    });
    child.stdin?.end(requests.map((request) => `${JSON.stringify(request)}\n`).join(''));
  });
  return output.trimEnd().split('\n');
}

/** Puts the header of a serializer with a schema registry before a payload. */
export function withSchemaId(id: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeInt32BE(id, 1);
  return Buffer.concat([header, payload]);
}

/** Registers a schema of Avro and returns its id. */
export function register(
  url: string,
  subject: string,
  schema: unknown,
  references: readonly SchemaReference[] = [],
): Promise<number> {
  return registerSchema(url, subject, { schema: JSON.stringify(schema), references });
}
