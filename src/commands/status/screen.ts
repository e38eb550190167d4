import { clearScreenDown, cursorTo } from 'node:readline';
import { forTerminal } from '../../lib/controlCharacters.js';

/** The parts of a terminal that are used here. */
export type Terminal = Pick<NodeJS.WriteStream, 'columns' | 'rows' | 'write'>;

const ALTERNATE_SCREEN = { enter: '\u001B[?1049h', leave: '\u001B[?1049l' };
const CURSOR = { hide: '\u001B[?25l', show: '\u001B[?25h' };
const CLEAR_TO_END_OF_LINE = '\u001B[K';

/**
 * Draws a text on a terminal again and again in the same place, like less or top. At the end the terminal shows again
 * what it showed before.
 */
export class Screen {
  readonly #terminal: Terminal;
  #text = '';

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    terminal.write(ALTERNATE_SCREEN.enter + CURSOR.hide);
  }

  /** Draws a text. What does not fit is cut off. Lines are overwritten, so nothing flickers. */
  draw(text: string): void {
    this.#text = text;
    const { columns, rows } = this.#terminal;
    const lines = forTerminal(text).split('\n').slice(0, Math.max(1, rows));
    cursorTo(this.#terminal as NodeJS.WriteStream, 0, 0);
    this.#terminal.write(lines.map((line) => line.slice(0, columns) + CLEAR_TO_END_OF_LINE).join('\r\n'));
    clearScreenDown(this.#terminal as NodeJS.WriteStream);
  }

  /** Draws the last text again, after the terminal's size has changed. */
  redraw(): void {
    this.draw(this.#text);
  }

  close(): void {
    this.#terminal.write(CURSOR.show + ALTERNATE_SCREEN.leave);
  }
}
