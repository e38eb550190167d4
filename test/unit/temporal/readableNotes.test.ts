import { randomBytes } from 'node:crypto';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { loadDataConverter } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { expect, it } from 'vitest';
import { givenNotes } from '../../../src/activities/boundNotes.js';
import { PayloadCipher } from '../../../src/codecs/payloadCipher.js';
import { isRefused, notesPurpose } from '../../../src/protocol/encryption.js';
import { dataConverterOf } from '../../../src/temporal/encryption.js';
import { passOverUnreadableNotes } from '../../../src/temporal/readableNotes.js';

const BATCHER = 'ktb:orders:8-key:3';
const cipherWith = (id: string) => new PayloadCipher({ keys: new Map([[id, randomBytes(32)]]), active: id });
const ours = cipherWith('k1');
const others = cipherWith('k2');
const NOTES = { attempt: 1 };
const payload = defaultPayloadConverter.toPayload(NOTES);
const UNREADABLE: Record<string, Payload[]> = {
  'in an unknown encoding': [{ metadata: { encoding: Buffer.from('x') } }],
  'that are no JSON': [{ metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{') }],
  'of an unknown key': [others.encrypt(payload, BATCHER, notesPurpose('x'))],
  'of which only the second part has an unknown key': [payload, others.encrypt(payload, BATCHER)],
};

const taskWith = (heartbeatDetails: Payload[], input: Payload[] = []) => ({
  task: { start: { activityId: '1', workflowExecution: { workflowId: BATCHER }, heartbeatDetails, input } },
});

/** What an attempt is given of notes, by the SDK's way of reading them. */
async function given(details: Payload[], cipher: PayloadCipher): Promise<unknown> {
  const converter = loadDataConverter(dataConverterOf(cipher));
  const polled = taskWith(details);
  await passOverUnreadableNotes(polled, converter, 'default');
  let payloads = polled.task.start.heartbeatDetails;
  for (const codec of converter.payloadCodecs) payloads = await codec.decode(payloads);
  return converter.payloadConverter.fromPayload(payloads[0]!);
}

it.each(Object.entries(UNREADABLE))('notes %s are refused ones, with a key and without', async (_kind, details) => {
  for (const cipher of [ours, new PayloadCipher({ keys: new Map(), active: null })]) {
    const notes = await given(details, cipher);
    expect(isRefused(notes)).toBe(true);
    // Without keys nobody binds the notes.
    const info = { heartbeatDetails: notes } as never;
    expect(givenNotes({ info })).toEqual({ details: undefined, wereRefused: true });
  }
});

it('notes that can be read stay as they are', async () => {
  for (const details of [[payload], [ours.encrypt(payload, BATCHER, notesPurpose('x'))]])
    expect(await given([...details], ours)).toEqual(NOTES);
});

it('arguments of an unknown key are not passed over, and neither is a task of another kind', async () => {
  const converter = loadDataConverter(dataConverterOf(ours));
  const argument = others.encrypt(payload, BATCHER);
  const polled = taskWith([], [argument]);
  await passOverUnreadableNotes(polled, converter, 'default');
  expect(polled).toEqual(taskWith([], [argument]));
  for (const other of [{ task: { cancel: {} } }, { runId: 'r', jobs: [] }])
    await expect(passOverUnreadableNotes(other, converter, 'default')).resolves.toBeUndefined();
});
