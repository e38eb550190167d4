import { expect, it } from 'vitest';
import { MissingKeyError } from '../../../src/codecs/payloadCipher.js';
import { MissingKeyHold } from '../../../src/daemon/missingKeyHold.js';
import { PartlyKnownError, type UnreadableBatcher } from '../../../src/temporal/unreadableBatcher.js';

const UNREADABLE = { isOpen: true, workflowId: 'ktb:orders:2-key:0', error: new MissingKeyError('k1:9f3a1c22', false) };

function hold(answers: (UnreadableBatcher | null | Error)[]) {
  const lines: string[] = [];
  const log = (_what: string, message: string) => void lines.push(message);
  const asked = new MissingKeyHold(
    'orders',
    () => {
      const answer = answers.shift() ?? null;
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
    { problem: log, well: log },
  );
  return { asked, answers, lines };
}

it('a consumer without keys is held while its batchers encrypt, and says with which key', async () => {
  const { asked, answers, lines } = hold([UNREADABLE, UNREADABLE, null, UNREADABLE]);
  const begun = asked.untilReadable(new AbortController().signal, 10);
  await begun;
  expect(asked.problem).toBeNull();
  expect(answers).toHaveLength(1);
  const held = expect.stringMatching(/pipeline orders is not read, .* key k1:9f3a1c22, which is not here/) as string;
  expect(lines).toEqual([held, held, 'The batchers of pipeline orders can be read']);
});

it('once it is held, only an answer that all can be read ends that: Temporal may be away for long', async () => {
  const away = new Error('Temporal is away');
  const { asked, answers, lines } = hold([UNREADABLE, away, away, UNREADABLE, away, null, UNREADABLE]);
  await asked.untilReadable(new AbortController().signal, 10);
  expect(answers).toHaveLength(1);
  expect(lines).toHaveLength(6);
});

it('it is held while Temporal answers for some batchers only: the others may encrypt', async () => {
  const some = new PartlyKnownError('3 of 8 batchers cannot be looked at: no answer');
  const { asked, answers, lines } = hold([some, new Error('Temporal is away'), some, null, UNREADABLE]);
  await asked.untilReadable(new AbortController().signal, 10);
  expect(answers).toHaveLength(1);
  expect(lines.slice(0, -1)).toEqual(Array(3).fill(expect.stringContaining('3 of 8 batchers cannot be looked at')));
});

it('it begins if Temporal does not answer at the start, and ends with the process', async () => {
  const away = hold([new Error('Temporal is away')]);
  await away.asked.untilReadable(new AbortController().signal, 10);
  expect(away.asked.problem).toBeNull();
  const ending = new AbortController();
  const held = hold([UNREADABLE]);
  const ended = held.asked.untilReadable(ending.signal, 600_000);
  await expect.poll(() => held.asked.problem).not.toBeNull();
  ending.abort();
  await ended;
});
