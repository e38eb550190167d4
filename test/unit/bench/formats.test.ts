import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { messagesOf } from '../../../bench/formats.js';
import { BASELINE, benchMessage, type Scenario } from '../../../bench/scenario.js';
import { FACTORS } from '../../../bench/sweep.js';
import { Decoders, type DecodingChoices } from '../../../src/formats/decoders.js';
import { JsonWriter } from '../../../src/formats/jsonWriter.js';
import { startHttpServer } from '../../support/httpServer.js';

const HEADER = Buffer.of(0, 0, 1, 2, 3);
const SCHEMA_ID = 0x010203;
const CHOICES: Partial<Record<Scenario['format'], DecodingChoices>> = {
  avro: { format: 'avro', bytes: 'raw', unions: 'plain' },
  protobuf: { format: 'protobuf', bytes: 'raw' },
};
const FORMATS = Object.values(FACTORS['formats']!.points).flatMap(({ format }) => format ?? []);
/** Others than the factor has them: each field must come through, whatever a scenario has. */
const SHAPES: readonly Partial<Scenario>[] = [{}, { columns: 25, bytes: 1_000 }, { bytes: 100 }];
const CASES = FORMATS.flatMap((format) => SHAPES.map((shape): Scenario => ({ ...BASELINE, ...shape, format })));

/** What the registry was asked to register. */
interface Registered {
  readonly schemaType: string;
  readonly schema: string;
}

it.each(CASES)(
  'a record in $format has the key and the fields of the baseline, of $columns columns and $bytes bytes as JSON',
  async (scenario) => {
    let registered: Registered | undefined;
    const url = await startHttpServer((request, response) => {
      void text(request).then((body) => {
        registered = JSON.parse(body) as Registered;
        response.end(JSON.stringify({ id: SCHEMA_ID }));
      });
    });
    const messageOf = await messagesOf(scenario, url);
    const jsonOf = await decoderOf(scenario.format, registered!);
    // The first has the defaults of Protobuf, which its bytes leave out.
    for (const id of [0, 7, 99_999, 999_999]) {
      const { key, value } = messageOf(id);
      const baseline = benchMessage(scenario, id);
      expect(key).toEqual(baseline.key);
      expect(value.subarray(0, HEADER.length)).toEqual(HEADER);
      expect(JSON.parse(jsonOf(value))).toEqual(JSON.parse(baseline.value.toString()));
    }
  },
);

/** Reads values as the bridge does. */
async function decoderOf(
  format: Scenario['format'],
  { schemaType, schema }: Registered,
): Promise<(value: Buffer) => string> {
  const choices = CHOICES[format];
  if (choices === undefined) {
    const { required } = JSON.parse(schema) as { required: string[] };
    expect([schemaType, required]).toEqual(['JSON', expect.arrayContaining(['id', 'customer', 'created', 'note'])]);
    return (value) => value.toString('utf8', HEADER.length);
  }
  const decoders = new Decoders({ schema: () => Promise.resolve({ type: schemaType, schema, references: [] }) });
  const known = (await decoders.of([SCHEMA_ID], choices)).get(SCHEMA_ID)!;
  if ('why' in known) throw new Error(known.why);
  return (value) => {
    const out = new JsonWriter();
    out.begin(value.length * known.bytesPerByte);
    known.decode(value, HEADER.length, value.length, out);
    out.finish();
    return out.bytes.toString('utf8', 0, out.length);
  };
}

it('a format with a schema is refused without a registry, and JSON needs none', async () => {
  await expect(messagesOf({ ...BASELINE, format: 'avro' }, undefined)).rejects.toThrow('avro needs a schema registry');
  expect((await messagesOf(BASELINE, undefined))(7)).toEqual(benchMessage(BASELINE, 7));
});
