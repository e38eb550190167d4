import type { IncomingMessage } from 'node:http';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Decoders } from '../../../src/formats/decoders.js';
import { prepareDecoding } from '../../../src/formats/recordDecoder.js';
import { RegistryError, SchemaRegistry, type RegisteredSchema } from '../../../src/formats/schemaRegistry.js';
import type { Rejection } from '../../../src/protocol/ack.js';
import type { KafkaRecord, SourcedRecord } from '../../../src/protocol/record.js';
import { requestSource } from '../../../src/protocol/request.js';
import { DEFAULT_MAPPING } from '../../support/chunks.js';
import { amongOthers, record } from '../../support/records.js';
import { startHttpServer } from '../../support/httpServer.js';

const CHOICES = { format: 'avro', bytes: 'raw', unions: 'plain' } as const;
const AVRO = { ...DEFAULT_MAPPING, format: 'avro' } as const;
const SOURCE = { topic: 'orders', partition: 0, epoch: 'e1' };
const LONG = JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 'id', type: 'long' }] });

const recordDecoder = async (...parameters: Parameters<typeof prepareDecoding>) =>
  (await prepareDecoding(...parameters))?.();

type Answer = readonly [status: number, body: unknown, headers?: Record<string, string>];

const PATIENCE = { times: 4, firstMs: 5, longestMs: 40 };

/** A registry that answers by path. */
async function registryThat(
  answers: (path: string, request: IncomingMessage) => Answer | undefined,
  config: object = {},
): Promise<{ registry: SchemaRegistry; asked: string[] }> {
  const asked: string[] = [];
  const address = await startHttpServer((request, response) => {
    asked.push(request.url ?? '');
    const answer = answers(request.url ?? '', request);
    if (answer === undefined) return;
    const [status, body, headers] = answer;
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  const url = `${address}/api/`;
  const defaults = { username: null, password: '', token: null, tls: null, requestTimeoutMs: 10_000 };
  const registry = new SchemaRegistry({ url, ...defaults, ...config }, PATIENCE);
  onTestFinished(() => registry.close());
  return { registry, asked };
}

it('asks for a schema with the credentials, and for all that it refers to, each once and before what needs it', async () => {
  const subjects: Record<string, object> = {
    '/api/schemas/ids/7': { schema: 'main', references: [reference('a/b'), reference('c')] },
    '/api/subjects/a%2Fb/versions/1?deleted=true': { schema: 'ab', references: [reference('c')] },
    '/api/subjects/c/versions/1?deleted=true': { schema: 'c', references: [reference('a/b')] },
  };
  const login = { username: 'me', password: 'pä:ss' };
  const { registry, asked } = await registryThat((path, { headers: { authorization = '' } }) => {
    expect(Buffer.from(authorization.slice('Basic '.length), 'base64').toString()).toBe('me:pä:ss');
    return [200, subjects[path]];
  }, login);
  expect(await registry.schema(7)).toEqual({
    schema: 'main',
    type: 'AVRO',
    references: [
      { name: 'c', schema: 'c' },
      { name: 'a/b', schema: 'ab' },
    ],
  });
  expect(asked).toHaveLength(3);
  const { registry: byToken } = await registryThat(
    (_path, { headers }) => {
      expect(headers.authorization).toBe('Bearer secret');
      return [200, { schema: 's', schemaType: 'PROTOBUF' }];
    },
    { ...login, token: 'secret' },
  );
  expect(await byToken.schema(1)).toMatchObject({ type: 'PROTOBUF' });
});

function reference(subject: string) {
  return { name: subject, subject, version: 1 };
}

it.each<[string, Answer | undefined, 'away' | 'wrong' | null]>([
  ['no such schema', [404, { error_code: 40403, message: 'Schema not found' }], null],
  ['no possible id', [422, { error_code: 422, message: 'Invalid id' }], null],
  ['no possible id, too', [400, { error_code: 400 }], null],
  ['a question that a gateway refuses', [400, '<html>'], 'wrong'],
  ['another 404', [404, { error_code: 404, message: 'HTTP 404 Not Found' }], 'wrong'],
  ['a web page', [404, '<html>'], 'wrong'],
  ['a page instead of a schema', [200, '<html>'], 'wrong'],
  ['a redirect', [302, ''], 'wrong'],
  ['a refused user', [401, { error_code: 401 }], 'wrong'],
  ['a forbidden schema', [403, ''], 'wrong'],
  ['an error', [500, { error_code: 50001 }], 'away'],
  ['a gateway without a registry', [503, '<html>'], 'away'],
  ['too many questions', [429, ''], 'away'],
  ['no answer in time', undefined, 'away'],
])('%s: only what the registry itself says is missing counts as missing', async (_name, answer, kind) => {
  const { registry } = await registryThat(() => answer, answer === undefined ? { requestTimeoutMs: 300 } : {});
  const asked = registry.schema(1);
  if (kind === null) expect(await asked).toBeNull();
  else await expect(asked).rejects.toMatchObject({ name: 'RegistryError', kind });
});

it('a refusal says which schema it is about', async () => {
  const { registry } = await registryThat(() => [403, '']);
  await expect(registry.schema(17)).rejects.toThrow('refuses this user schemas/ids/17 (HTTP 403)');
});

it.each<[string, unknown]>([
  ['a status page', { status: 'ok' }],
  ['a list', []],
  ['no text', { schema: { type: 'string' } }],
  ['an empty text', { schema: ' ' }],
  ['null', null],
  ['references that are none', { schema: '"int"', references: {} }],
  ['a reference without a name', { schema: '"int"', references: [{ subject: 's', version: 1 }] }],
  ['a reference without a whole version', { schema: '"int"', references: [{ ...reference('s'), version: '1' }] }],
])('%s is no answer of a registry, so it says nothing about the records', async (_name, body) => {
  const { registry, asked } = await registryThat(() => [200, body]);
  const decoders = new Decoders(registry);
  for (let time = 0; time < 2; time++)
    await expect(decoders.of([1], CHOICES)).rejects.toMatchObject({ name: 'RegistryError', kind: 'wrong' });
  // Nothing of it is kept.
  expect(asked).toHaveLength(2);
});

it('a schema that cannot be read for no known reason rejects no record', async () => {
  const unreadable: RegisteredSchema = {
    ...avro('"R"'),
    get references(): never {
      throw new Error('a fault of ours');
    },
  };
  const { decoders } = inMemory({ 1: unreadable });
  await expect(decoders.of([1], CHOICES)).rejects.toMatchObject({ name: 'RegistryError', kind: 'wrong' });
});

it('a schema of very many types within each other rejects its own records, and holds none', async () => {
  // They need more stack than there is.
  const references = Array.from({ length: 500 }, (_, index) => {
    const type =
      '{"type":"array","items":'.repeat(150) + `"${index === 0 ? 'int' : `R${index - 1}`}"` + '}'.repeat(150);
    return { name: `R${index}`, schema: `{"type":"record","name":"R${index}","fields":[{"name":"f","type":${type}}]}` };
  });
  const { decoders } = inMemory({ 1: { ...avro('"R499"'), references } });
  expect((await decoders.of([1], CHOICES)).get(1)).toEqual({ why: 'it has too many types within each other' });
});

it('a reference that the registry lacks holds the batch, until it is there', async () => {
  const answers: Record<string, object> = {
    '/api/schemas/ids/7': { schema: '"Address"', references: [{ ...reference('s'), name: 'Address' }] },
  };
  const { registry } = await registryThat((path) => {
    const found = answers[path];
    return found === undefined ? [404, { error_code: 40402 }] : [200, found];
  });
  const decoders = new Decoders(registry);
  await expect(decoders.of([7], CHOICES)).rejects.toMatchObject({
    name: 'RegistryError',
    message: expect.stringContaining('refers to version 1 of the subject s, and not that one: restore it') as string,
  });
  const schema = JSON.stringify({ type: 'record', name: 'Address', fields: [] });
  answers['/api/subjects/s/versions/1?deleted=true'] = { schema };
  expect([...(await decoders.of([7], CHOICES)).values()]).toMatchObject([{ decode: expect.anything() as unknown }]);
});

it('of several references with a name, the first counts, and one may lead back to itself', async () => {
  const named = (name: string, subject: string) => ({ ...reference(subject), name });
  const answers: Record<string, object> = {
    '/api/schemas/ids/7': { schema: 'main', references: [named('B', 'b'), named('A', 'new'), named('B', 'other')] },
    '/api/subjects/b/versions/1?deleted=true': { schema: 'b', references: [named('A', 'old'), named('B', 'b2')] },
    '/api/subjects/old/versions/1?deleted=true': { schema: 'old' },
  };
  const { registry, asked } = await registryThat((path) => [200, answers[path] ?? { schema: 'unexpected' }]);
  expect(await registry.schema(7)).toMatchObject({ references: [{ schema: 'old' }, { schema: 'b' }] });
  expect(asked).toHaveLength(3);
});

it('a schema that is small, and refers to very much, is not taken in whole', async () => {
  const text = 'x'.repeat(4 * 1024 * 1024);
  const references = Array.from({ length: 9 }, (_, at) => ({ ...reference(`s${at}`), name: `N${at}` }));
  const { registry, asked } = await registryThat((path) =>
    path.includes('/ids/') ? [200, { schema: '"long"', references }] : [200, { schema: text }],
  );
  const message = expect.stringContaining('too long with all') as string;
  await expect(registry.schema(7)).rejects.toMatchObject({ kind: 'wrong', message });
  expect(asked).toHaveLength(5);
});

it.each<[string, Answer]>([
  ['too many questions', [429, '']],
  ['too many questions, with a time that is too long', [429, '', { 'retry-after': '60' }]],
  ['a gateway without a registry', [503, '']],
])('%s: what is away for a moment is asked again', async (_name, answer) => {
  let left = 3;
  const { registry, asked } = await registryThat(() => (left-- > 0 ? answer : [200, { schema: 's' }]));
  expect(await registry.schema(1)).toMatchObject({ schema: 's' });
  expect(asked).toHaveLength(4);
  left = 10;
  await expect(registry.schema(1)).rejects.toMatchObject({ kind: 'away' });
  expect(asked).toHaveLength(8);
});

it('a registry that nobody listens for is away', async () => {
  const { registry } = await registryThat(() => undefined, { url: 'http://127.0.0.1:1/api' });
  await expect(registry.schema(1)).rejects.toMatchObject({ kind: 'away' });
});

it.each<[string, Answer, string | null]>([
  ['a registry', [200, ['AVRO']], null],
  ['an address that leads elsewhere', [200, { hello: 'world' }], 'is no schema registry (HTTP 200)'],
  ['a wrong path', [404, '<html>'], 'is no schema registry (HTTP 404): check schemaRegistry.url'],
  ['a refused user', [401, ''], 'check schemaRegistry.username'],
])('%s is told by the check', async (_name, answer, problem) => {
  const { registry, asked } = await registryThat(() => answer);
  if (problem === null) await registry.check();
  else await expect(registry.check()).rejects.toThrow(problem);
  expect(asked).toEqual(['/api/schemas/types']);
});

/** A registry in memory. */
it.each([
  ['avro', { schema: `"${'y'.repeat(300_000)}"`, type: 'AVRO' }],
  ['avro', { schema: '"long"', type: 'y'.repeat(300_000) }],
  ['protobuf', { schema: `syntax="proto3"; message A { ${'x'.repeat(300_000)} f = 1; }`, type: 'PROTOBUF' }],
  ['protobuf', { schema: `message A { "\n\u0000${'x'.repeat(300_000)}`, type: 'PROTOBUF' }],
] as const)('what a schema of format %s says is short and in one line', async (format, registered) => {
  const decoders = new Decoders({ schema: () => Promise.resolve({ ...registered, references: [] }) });
  const value = header(1, Buffer.alloc(5));
  const decode = await recordDecoder([sourced(value)], { ...DEFAULT_MAPPING, format }, decoders);
  const { message } = decode?.(SOURCE, record(0, { value })) as Rejection;
  expect(message.length).toBeLessThan(350);
  expect(message).not.toMatch(/\p{Cc}/u);
});

function inMemory(schemas: Record<number, RegisteredSchema | null>) {
  const asked: number[] = [];
  const state = { isAway: false };
  const schema = (id: number): Promise<RegisteredSchema | null> => {
    asked.push(id);
    if (state.isAway) return Promise.reject(new RegistryError('away', 'it is away'));
    return Promise.resolve(schemas[id] ?? null);
  };
  return { decoders: new Decoders({ schema }, 1), asked, state };
}

const avro = (schema: string): RegisteredSchema => ({ schema, type: 'AVRO', references: [] });

it('asks for each schema once, for one that is missing twice, for those that are kept never again, and for a missing one not at once', async () => {
  const { decoders, asked, state } = inMemory({ 1: avro(LONG), 2: avro('{'), 3: { ...avro(''), type: 'PROTOBUF' } });
  const known = await decoders.of([1, 2, 3, 4], CHOICES);
  expect([...known.values()].map((one) => ('why' in one ? one.why : 'known'))).toEqual([
    'known',
    'it is no Avro schema: it uses a type {, which it does not define',
    'the registry says that it is of type PROTOBUF, not AVRO',
    'the registry has no schema of this id',
  ]);
  state.isAway = true;
  expect((await decoders.of([1, 2, 3, 4], CHOICES)).size).toBe(4);
  await expect(decoders.of([1, 5], CHOICES)).rejects.toThrow('it is away');
  state.isAway = false;
  await decoders.of([5], CHOICES);
  expect(asked).toEqual([1, 2, 3, 4, 4, 5, 5, 5]);
});

it('batches that need a schema at the same time ask for it once, also if nothing comes of it', async () => {
  const { decoders, asked, state } = inMemory({ 1: avro(LONG) });
  await Promise.all([decoders.of([1, 2], CHOICES), decoders.of([2, 1], CHOICES), decoders.of([1], CHOICES)]);
  expect([...asked].sort()).toEqual([1, 2, 2]);
  state.isAway = true;
  const failing = [decoders.of([3], CHOICES), decoders.of([3], CHOICES)];
  for (const one of failing) await expect(one).rejects.toThrow('it is away');
  expect(asked).toHaveLength(4);
  // A failure is not kept.
  state.isAway = false;
  await decoders.of([3], CHOICES);
  expect(asked).toHaveLength(6);
});

it('a batch of garbage asks twice for each id that it seems to have, however often it is tried', async () => {
  const { decoders, asked } = inMemory({});
  const ids = Array.from({ length: 15_000 }, (_, id) => id);
  for (let time = 0; time < 3; time++) expect((await decoders.of(ids, CHOICES)).size).toBe(15_000);
  expect(asked).toHaveLength(30_000);
});

it('one replica of the registry that has not heard of a schema yet rejects no record, and a retry goes on where the last one ended', async () => {
  const answers: [id: number, found: RegisteredSchema | null | 'away'][] = [
    [1, null],
    [2, avro(LONG)],
    [1, avro(LONG)],
    [3, null],
    [4, 'away'],
    [4, avro(LONG)],
    [3, null],
  ];
  const decoders = new Decoders(
    {
      schema: (id) => {
        const [expected, found = null] = answers.shift() ?? [];
        expect(id).toBe(expected);
        return found === 'away' ? Promise.reject(new RegistryError('away', 'it is away')) : Promise.resolve(found);
      },
    },
    1,
  );
  const of = async (ids: number[]) =>
    [...(await decoders.of(ids, CHOICES)).values()].map((known) => ('why' in known ? known.why : 'known'));
  expect(await of([1, 2])).toEqual(['known', 'known']);
  await expect(of([3, 4])).rejects.toThrow('it is away');
  expect(await of([3, 4])).toEqual(['the registry has no schema of this id', 'known']);
  expect(await of([3])).toEqual(['the registry has no schema of this id']);
  expect(answers).toEqual([]);
});

it('a batch that is decoded again may become as much JSON as before', async () => {
  const { decoders } = inMemory({ 1: avro(JSON.stringify(noBytes(3_000))) });
  const { record: one } = sourced(header(1, Buffer.alloc(0)));
  const prepared = await prepareDecoding([sourced(one.value)], AVRO, decoders);
  for (let time = 0; time < 2; time++) {
    const decode = prepared!();
    for (let index = 0; index < 1_900; index++) expect('code' in decode(SOURCE, one)).toBe(false);
  }
});

it('a batch that has to be tried again does not ask again what it was told', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const { decoders, asked, state } = inMemory({});
  await decoders.of([1, 2], CHOICES);
  state.isAway = true;
  await expect(decoders.of([1, 2, 3], CHOICES)).rejects.toThrow('it is away');
  state.isAway = false;
  vi.advanceTimersByTime(14 * 60_000);
  await decoders.of([1, 2, 3], CHOICES);
  expect(asked).toEqual([1, 2, 1, 2, 3, 3, 3]);
  vi.advanceTimersByTime(60_000);
  await decoders.of([1, 2], CHOICES);
  expect(asked).toEqual([1, 2, 1, 2, 3, 3, 3, 1, 2, 1, 2]);
});

it('what a caller did not wait for is known when it tries again, however long the registry took', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const asked: number[] = [];
  const schema = (id: number): Promise<null> => {
    asked.push(id);
    vi.advanceTimersByTime(1_000);
    return Promise.resolve(null);
  };
  const decoders = new Decoders({ schema }, 1);
  const ids = Array.from({ length: 200 }, (_, id) => id);
  await decoders.of(ids, CHOICES);
  await decoders.of(ids, CHOICES);
  expect(asked).toEqual([...ids, ...ids]);
});

it('what rejects records is asked again after a minute', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const schemas: Record<number, RegisteredSchema> = { 1: avro('nonsense'), 2: { ...avro(''), type: 'JSON' } };
  const { decoders } = inMemory(schemas);
  const isKnown = async () => [...(await decoders.of([1, 2, 3], CHOICES)).values()].map((one) => 'decode' in one);
  expect(await isKnown()).toEqual([false, false, false]);
  Object.assign(schemas, { 1: avro(LONG), 2: avro(LONG), 3: avro(LONG) });
  vi.advanceTimersByTime(59_000);
  expect(await isKnown()).toEqual([false, false, false]);
  vi.advanceTimersByTime(1_001);
  expect(await isKnown()).toEqual([true, true, true]);
});

it('keeps a bounded number of schemas, those that were used last', async () => {
  const all = Object.fromEntries(Array.from({ length: 1_100 }, (_, id) => [id, avro(LONG)]));
  const { decoders, asked } = inMemory(all);
  await decoders.of(Array(1_000).keys(), CHOICES);
  await decoders.of([0], CHOICES);
  await decoders.of([1_050], CHOICES);
  expect(asked).toHaveLength(1_001);
  await decoders.of([0], CHOICES);
  expect(asked).toHaveLength(1_001);
  await decoders.of([1], CHOICES);
  expect(asked).toHaveLength(1_002);
});

it('keeps a bounded number of bytes of schemas, and takes no more of them for one batch than it can hold', async () => {
  const references = [{ name: 'N', schema: `"long"${' '.repeat(8 * 1024 * 1024)}` }];
  const { decoders, asked } = inMemory(
    Object.fromEntries(Array.from({ length: 9 }, (_, id) => [id, { ...avro(LONG), references }])),
  );
  for (const id of [0, 1, 2, 3, 3, 0]) await decoders.of([id], CHOICES);
  expect(asked).toEqual([0, 1, 2, 3, 0]);
  await expect(decoders.of(Array(9).keys(), CHOICES)).rejects.toThrow('too long together');
  expect((await decoders.of(Array(7).keys(), CHOICES)).size).toBe(7);
});

const header = (id: number, payload: Uint8Array) => Buffer.concat([Buffer.of(0, 0, 0, 0, id), payload]);
const sourced = (value: Buffer | null, source = SOURCE): SourcedRecord => ({ source, record: record(0, { value }) });

it('a record is decoded the same wherever its bytes are; all but its value stays', async () => {
  const { decoders } = inMemory({ 1: avro(LONG) });
  const { record: plain } = sourced(header(1, Buffer.of(8)));
  const headers = [['h', Buffer.of(1)]] as const;
  for (const one of [{ ...plain, headers }, amongOthers({ ...plain, headers })]) {
    const decode = await recordDecoder([{ source: SOURCE, record: one }], AVRO, decoders);
    const decoded = decode!(SOURCE, one) as KafkaRecord;
    expect(String(decoded.value)).toBe('{"id":4}');
    expect([decoded.offset, decoded.timestampMs, String(decoded.key), decoded.headers]).toEqual([
      ...[one.offset, one.timestampMs, String(one.key), one.headers],
    ]);
  }
});

it.each([
  ['avro', 'schema 0: the registry has no schema of this id'],
  ['json-schema', 'no JSON follows the id of its schema'],
] as const)('ids of 8 bytes, as Apicurio’s serializers write them, are named for %s', async (format, why) => {
  const value = Buffer.concat([Buffer.alloc(8), Buffer.from('\u0007{"id":4}')]);
  const mapping = { ...DEFAULT_MAPPING, format };
  const decode = await recordDecoder([sourced(value)], mapping, inMemory({}).decoders);
  const { message } = decode!(SOURCE, record(0, { value })) as Rejection;
  expect(message).toContain(
    `${why}. Apicurio's own serializers write ids of 8 bytes: set apicurio.registry.as-confluent`,
  );
});

it('JSON whose schema is in a header, or that has none, is named as such: with any id it is JSON', async () => {
  const mapping = { ...DEFAULT_MAPPING, format: 'json-schema', key: { format: 'json-schema' } } as const;
  const decode = await recordDecoder([], mapping, undefined);
  const json = Buffer.from('{"id":4}');
  const [key, value] = [header(0, json), header(0, json)];
  expect(decode!(SOURCE, record(0, { key, value: json }))).toMatchObject({
    message: expect.stringMatching(/id into a header. Then it is plain JSON: set format: json$/) as string,
  });
  expect(decode!(SOURCE, record(0, { key: json, value }))).toMatchObject({
    message: expect.stringMatching(/id into a header. Then it is plain JSON: set key.format: json$/) as string,
  });
  const decoded = decode!(SOURCE, record(0, { key, value })) as KafkaRecord;
  expect([String(decoded.key), String(decoded.value)]).toEqual(['{"id":4}', '{"id":4}']);
});

it('tombstones and rows of workflows are not decoded; without a registry the batch waits', async () => {
  const { decoders, asked } = inMemory({});
  const request = sourced(Buffer.from('{"id":1}'), requestSource('ktb:b', 'e'));
  const tombstone = sourced(null);
  const decode = await recordDecoder([request, tombstone], AVRO, decoders);
  expect(decode!(request.source, request.record)).toBe(request.record);
  expect(decode!(SOURCE, tombstone.record)).toBe(tombstone.record);
  expect(asked).toEqual([]);
  await expect(recordDecoder([], AVRO, undefined)).rejects.toMatchObject({ kind: 'wrong' });
  expect(await recordDecoder([], DEFAULT_MAPPING, undefined)).toBeUndefined();
});

const TOO_MUCH = {
  code: 'undecodable',
  message: 'the value cannot be decoded: schema 1: it becomes far more JSON than its size allows for',
};

/** A schema of which each value has no bytes, and becomes at least 20 bytes of JSON for each of the fields. */
const noBytes = (fields: number) => ({
  type: 'record',
  name: 'N',
  fields: Array.from({ length: fields }, (_, index) => ({ name: `field_${1e7 + index}`, type: 'null' })),
});

it('a small record cannot become a large document, however large its schema is', async () => {
  const doubled = Array.from({ length: 20 }, (_, level) => {
    const type = level === 0 ? 'null' : `D${level - 1}`;
    const fields = ['a', 'b'].map((name) => ({ name, type }));
    return { name: `D${level}`, schema: JSON.stringify({ type: 'record', name: `D${level}`, fields }) };
  });
  const large = { ...noBytes(100_000), doc: 'x'.repeat(3 * 1024 * 1024) };
  const bombs = [
    { ...avro('"D19"'), references: doubled },
    avro(JSON.stringify(large)),
    avro(JSON.stringify({ type: 'array', items: { ...noBytes(100), fields: [...noBytes(100).fields, BOOLEAN] } })),
  ];
  for (const bomb of bombs) {
    const { decoders } = inMemory({ 1: bomb });
    const payload = bomb === bombs[2] ? Buffer.of(160, 31, ...Buffer.alloc(2_000), 0) : Buffer.alloc(0);
    const { record } = sourced(header(1, payload));
    const decode = await recordDecoder([{ source: SOURCE, record }], AVRO, decoders);
    expect(decode!(SOURCE, record)).toEqual(TOO_MUCH);
  }
});

const BOOLEAN = { name: 'b', type: 'boolean' };

it('a record of real life becomes as much JSON as its names take', async () => {
  const row = { type: 'record', name: 'Row', fields: [{ ...BOOLEAN, name: 'is_enabled_for_this_customer_segment' }] };
  const { decoders } = inMemory({ 1: avro(JSON.stringify({ type: 'array', items: row })) });
  const { record } = sourced(header(1, Buffer.of(0xa0, 0x9c, 0x01, ...Buffer.alloc(10_000), 0)));
  const decode = await recordDecoder([{ source: SOURCE, record }], AVRO, decoders);
  expect(JSON.parse(String((decode!(SOURCE, record) as KafkaRecord).value))).toHaveLength(10_000);
});

it('many records of a batch do not become more together than a worker can hold', async () => {
  const { decoders } = inMemory({ 1: avro(JSON.stringify(noBytes(3_000))), 2: avro(LONG) });
  const { record: bomb } = sourced(header(1, Buffer.alloc(0)));
  const { record: usual } = sourced(header(2, Buffer.of(8)));
  const decode = await recordDecoder([sourced(bomb.value), sourced(usual.value)], AVRO, decoders);
  const bytesEach = ((decode!(SOURCE, bomb) as KafkaRecord).value as Buffer).length;
  const atMost = Math.ceil((256 * 1024 * 1024) / bytesEach);
  let index = 0;
  while (index <= atMost && !('code' in decode!(SOURCE, bomb))) index++;
  expect(decode!(SOURCE, bomb)).toEqual(TOO_MUCH);
  expect(index).toBeGreaterThan(atMost - 5);
  // Those that do not grow much are not to blame.
  expect(decode!(SOURCE, usual)).not.toHaveProperty('code');
});

it('a stack that ends is the fault of the record, any other error is not', async () => {
  const failing = async (error: Error) => {
    const throwing = { of: () => Promise.resolve(new Map([[1, { bytes: 1, decode: () => fail(error) }]])) };
    const decode = await recordDecoder([], AVRO, throwing as unknown as Decoders);
    const { record } = sourced(header(1, Buffer.alloc(0)));
    return decode!(SOURCE, record);
  };
  expect(await failing(new RangeError('Maximum call stack size exceeded'))).toEqual({
    code: 'undecodable',
    message: 'the value cannot be decoded: schema 1: its values are nested too deeply',
  });
  await expect(failing(new TypeError('a bug'))).rejects.toThrow('a bug');
  await expect(failing(new RangeError('Array buffer allocation failed'))).rejects.toThrow('allocation failed');
});

function fail(error: Error): never {
  throw error;
}
