import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { forTerminal, guardTerminal, withoutControls } from '../../../src/lib/controlCharacters.js';

/** Clears the screen, sets the title, rings, begins the line anew; the same in one character; writes from right to left. */
const HOSTILE = 'a\u001B[2J\u001B]0;title\u0007\r\u007F\u009B2J\u202Eb';

it('a terminal obeys nothing of a text, whatever it says, and keeps its lines', () => {
  const safe = 'a\\u001b[2J\\u001b]0;title\\u0007\\u000d\\u007f\\u009b2J\\u202eb';
  expect(forTerminal(`${HOSTILE}\n\tc é 订 😀`)).toBe(`${safe}\n\tc é 订 😀`);
  expect(withoutControls('a\n\u001Bb')).toBe('a\\u000a\\u001bb');
});

it('JSON means the same as before', () => {
  const value = { text: HOSTILE };
  expect(JSON.parse(forTerminal(JSON.stringify(value, null, 2)))).toEqual(value);
});

it('a console prints only that, to both of its streams', () => {
  let written = '';
  const stream = new Writable({
    write: (chunk, _, done) => {
      written += String(chunk);
      done();
    },
  });
  const console = new Console(stream, stream);
  guardTerminal(console);
  console.log('one', HOSTILE);
  console.error(HOSTILE);
  console.log('%s', 'two', 3);
  expect(written).toBe(`one ${forTerminal(HOSTILE)}\n${forTerminal(HOSTILE)}\ntwo 3\n`);
});
