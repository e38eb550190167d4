import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { encryptionCodec, type EncryptionKeys } from '../../src/temporal/payloadCodec.js';
import { Daemon, ktb } from '../support/daemon.js';
import { newKey } from '../support/encryption.js';
import { eventually } from '../support/eventually.js';
import { acknowledged } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { storedIn } from '../support/temporalStorage.js';
import { useStack } from '../support/useStack.js';

// Of processes, whose files can be read.
const stack = useStack({ flavour: 'native' });

const KINDS = ['value', 'key', 'header', 'message', 'request', 'foreign', 'reason', 'table'] as const;
type Markers = Readonly<Record<(typeof KINDS)[number], string>>;

/** The markers that Temporal has in plain text, or only compressed. */
async function found(markers: Markers): Promise<string[]> {
  const values = await storedIn(stack());
  return KINDS.filter((kind) => values.some((value) => value.includes(markers[kind])));
}

/**
 * Buffers, rejects, inherits and fails, with markers in all that must be seen by nobody.
 *
 * @returns the markers that were found in each of these states
 */
async function foundWith(encryption?: EncryptionKeys): Promise<Record<'buffered' | 'inherited' | 'failed', string[]>> {
  const payloadCodecs = encryption === undefined ? [] : [encryptionCodec(encryption)];
  const planted = Object.fromEntries(KINDS.map((kind) => [kind, `${kind}${randomBytes(8).toString('hex')}`]));
  // Messages of rejections name columns, and quote no values.
  const columns = `id Int64, text String, ${planted['message']} Int64`;
  const options = { partitions: 1, pipeline: { batchers: 1 }, payloadCodecs, columns };
  const fixture = await Fixture.create(stack(), options);
  const markers: Markers = { ...(planted as unknown as Markers), table: fixture.table };
  await fixture.collectAcks();
  const secured = encryption === undefined ? {} : { encryption: { ...encryption, required: true } };
  const config = fixture.config({}, secured);
  const daemon = await Daemon.start(config);
  const produce = (fields: object = {}) =>
    fixture.produce(1, (id) => ({
      key: markers.key,
      value: JSON.stringify({ id, text: markers.value, ...fields }),
      headers: { trace: markers.header },
    }));
  await produce();
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(1));

  expect((await ktb(config, ['pause', '--pipeline', fixture.name, '--reason', markers.reason])).code).toBe(0);
  await eventually(async () => expect((await fixture.batcherStatus(0)).paused).toBe(true));
  await produce();
  await produce({ [markers.message]: 'no number' });
  const request = {
    format: 'ktb-request/1',
    id: 'r',
    requester: 'nobody',
    value: `{"id":7,"text":"${markers.request}"}`,
  };
  await fixture.batcher(0).signal('submit', request);
  await fixture.batcher(0).signal('hello', { text: markers.foreign });
  await eventually(async () => expect((await fixture.batcherStatus(0)).bufferedRecords).toBe(3));
  const buffered = await found(markers);

  await fixture.batcher(0).terminate();
  await produce();
  await eventually(async () => expect((await fixture.batcherStatus(0)).inheritedBatches).toBe(1));
  await ktb(config, ['resume', '--pipeline', fixture.name, '--reason', markers.reason]);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(4));
  const [rejected] = fixture.acks.filter(({ status }) => status === 'rejected');
  expect(rejected?.message).toContain(markers.message);
  const inherited = await found(markers);

  await fixture.clickhouse.command({ query: `RENAME TABLE ${fixture.table} TO ${fixture.table}_away` });
  await produce();
  await eventually(async () => {
    const status = await ktb(config, ['status', '--json']);
    // People who have the key read what holds the batch.
    expect(status.output).toMatch(new RegExp(`"pendingError": "[^"]*${fixture.table}`));
  });
  const failed = await found(markers);
  await fixture.clickhouse.command({ query: `RENAME TABLE ${fixture.table}_away TO ${fixture.table}` });
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(5));
  expect(await fixture.rowCounts()).toEqual({ rows: 5, identities: 5, ids: 5 });
  expect(await daemon.metric('ktb_refused_signals_total')).toBe(0);
  for (const key of Object.values(encryption?.keys ?? {})) {
    expect(daemon.output).not.toContain(key);
    expect((await daemon.get('/metrics')).text).not.toContain(key);
  }
  await daemon.stop();
  return { buffered, inherited, failed };
}

it('Temporal stores no value, key, header, message or reason that can be read, and all of them without encryption', async () => {
  const { buffered, inherited, failed } = await foundWith();
  // This is how it is seen that they would be found.
  expect(failed).toEqual(KINDS);
  expect(buffered).toEqual(KINDS);
  expect(inherited).toEqual(KINDS);
  expect(await foundWith({ keys: { k1: newKey() }, active: 'k1' })).toEqual({
    buffered: [],
    inherited: [],
    failed: [],
  });
}, 300_000);
