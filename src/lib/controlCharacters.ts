/*
 * Characters that a terminal obeys instead of showing them. What records, topics, servers and other people say may have any.
 */

/** A text in one line, without what a terminal would obey. */
export function withoutControls(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, escaped);
}

/**
 * A text of several lines for a terminal. Also without what turns the direction of writing round. In JSON it means the same as
 * before.
 */
export function forTerminal(text: string): string {
  return text.replaceAll(/(?![\n\t])\p{Cc}|[\u202A-\u202E\u2066-\u2069]/gu, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/**
 * Has a console print texts as {@link forTerminal} makes them, whoever gives them. For the commands: a daemon's log is JSON.
 */
export function guardTerminal(console: Pick<Console, 'log' | 'error'>): void {
  for (const name of ['log', 'error'] as const) {
    const print = console[name].bind(console);
    console[name] = (...values: unknown[]) =>
      print(...values.map((value) => (typeof value === 'string' ? forTerminal(value) : value)));
  }
}
