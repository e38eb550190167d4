import { expect, it } from 'vitest';
import { encryptionCodec } from '../../../src/temporal/payloadCodec.js';
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
