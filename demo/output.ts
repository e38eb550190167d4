import { styleText } from 'node:util';

type Style = 'bold' | 'dim' | 'green' | 'red';

/** A text in colours where standard output shows them: on a terminal, and not with NO_COLOR. */
export function paint(text: string, ...styles: readonly Style[]): string {
  if (!process.stdout.isTTY || !process.stdout.hasColors()) return text;
  return styles.reduce((painted, style) => styleText(style, painted), text);
}

/** Prints what comes next, with an empty line before it. */
export function heading(text: string): void {
  console.log(`\n${paint(text, 'bold')}`);
}

/** Prints lines below a heading. */
export function printIndented(lines: readonly string[]): void {
  for (const line of lines) console.log(`   ${line}`.trimEnd());
}

/** Prints names with their texts behind them, lined up. */
export function printPairs(pairs: readonly (readonly [name: string, text: string])[]): void {
  const width = Math.max(...pairs.map(([name]) => name.length));
  printIndented(pairs.map(([name, text]) => `${name.padEnd(width)}  ${text}`));
}

/** Closes a display that redraws itself, when asked to or at an abort, and once only: the second time would draw it again. */
export function closeOnce(display: { close(): void }, signal: AbortSignal): () => void {
  let closed = false;
  const close = (): void => {
    if (!closed) display.close();
    closed = true;
  };
  signal.addEventListener('abort', close, { once: true });
  return close;
}
