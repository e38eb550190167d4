import { describe, expect, it } from 'vitest';
import { isEncrypted, PayloadCipher } from '../../../src/codecs/payloadCipher.js';
import {
  argumentPurpose,
  AUTHENTIC_METADATA,
  intend,
  notesPurpose,
  PURPOSES,
  resultPurpose,
} from '../../../src/protocol/encryption.js';
import type { FlushActivities } from '../../../src/protocol/flushActivities.js';
import { codecOf, encryptionCodec } from '../../../src/temporal/payloadCodec.js';
import { boundTo } from '../../../src/workflows/boundCalls.js';
import { payloadConverter } from '../../../src/workflows/payloadConverter.js';
import { newKey } from '../../support/encryption.js';

const payload = { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{}') };

it('what is encrypted with any id of a key that is taken can be read again', async () => {
  for (const id of ['k1', '2026-12', 'Team_A', 'a'.repeat(32)]) {
    const codec = encryptionCodec({ keys: { [id]: newKey() }, active: id });
    const [read] = await codec.decode(await codec.encode([payload]));
    expect(read?.data, id).toEqual(payload.data);
  }
});

it.each(['', 'schlüssel', 'team a/prod', 'k1:x', '-k1', 'a'.repeat(33)])(
  'the id of a key is refused that cannot be read again: %s',
  (id) => {
    expect(() => encryptionCodec({ keys: { [id]: newKey() }, active: id })).toThrow('is no id of a key');
  },
);

describe('with keys, of which none is active', () => {
  const cipher = new PayloadCipher({ keys: new Map([['k1', new Uint8Array(32)]]), active: null });
  const context = { type: 'workflow', namespace: 'default', workflowId: 'b' } as const;
  const encode = async (value: object) =>
    (await codecOf(cipher).encode([payloadConverter.toPayload(value)], context))[0]!;
  const purposeIn = (sent: Awaited<ReturnType<typeof encode>>) =>
    Buffer.from(cipher.decrypt(sent, 'b').metadata?.[AUTHENTIC_METADATA] ?? []).toString();

  it('what an activity says to a call that came encrypted is encrypted: the batcher may take nothing else', async () => {
    for (const purpose of [resultPurpose('c1'), notesPurpose('c1')]) {
      const sent = await encode(intend({ inserted: 1 }, purpose));
      expect(isEncrypted(sent), purpose).toBe(true);
      expect(purposeIn(sent)).toBe(purpose);
    }
    for (const purpose of [PURPOSES.own, argumentPurpose('insertBatch', 0, 'c1')])
      expect(await encode(intend({ a: 1 }, purpose))).toEqual(payloadConverter.toPayload({ a: 1 }));
    expect(isEncrypted(await encode({ a: 1 }))).toBe(false);
  });

  it.each([true, false])('a call is encrypted if its batcher takes nothing else: %s', async (refusesPlain) => {
    const spec = { id: 'batch' };
    const activities = { insertBatch: () => Promise.resolve() } as unknown as FlushActivities;
    await boundTo('c1', activities, refusesPlain).insertBatch(spec as never, new Uint8Array(0));
    const sent = await encode(spec);
    expect(isEncrypted(sent)).toBe(refusesPlain);
    expect(purposeIn(sent)).toBe(refusesPlain ? argumentPurpose('insertBatch', 0, 'c1') : '');
  });
});
