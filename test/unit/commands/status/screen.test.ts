import { expect, it } from 'vitest';
import { Screen, type Terminal } from '../../../../src/commands/status/screen.js';

function terminal(columns: number, rows: number): Terminal & { text: string } {
  return {
    columns,
    rows,
    text: '',
    write(text: string | Uint8Array) {
      this.text += String(text);
      return true;
    },
  };
}

it('draws in place, cuts off what does not fit, and leaves the terminal as it was', () => {
  const fake = terminal(5, 2);
  const screen = new Screen(fake);
  fake.text = '';
  screen.draw('123456789\nab\nnot seen');
  expect(fake.text).toBe('\u001B[1;1H12345\u001B[K\r\nab\u001B[K\u001B[0J');
  screen.close();
  expect(fake.text).toContain('\u001B[?25h\u001B[?1049l');
});

it('draws the same text again when the size has changed', () => {
  const fake = terminal(3, 5);
  const screen = new Screen(fake);
  screen.draw('1234');
  fake.columns = 10;
  fake.text = '';
  screen.redraw();
  expect(fake.text).toContain('1234');
});

it('what a batcher says moves no cursor', () => {
  const fake = terminal(80, 5);
  const screen = new Screen(fake);
  fake.text = '';
  screen.draw('paused by \u001B[2J\u0007somebody');
  expect(fake.text).toBe('\u001B[1;1Hpaused by \\u001b[2J\\u0007somebody\u001B[K\u001B[0J');
});
