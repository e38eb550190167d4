/** One horizontal bar: label, bar, figure, note. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The value as a person wants to read it. */
  readonly figure: string;
  readonly note?: string;
}

const BLOCK = '█';
/** Eighths of a block, from one to seven. */
const EIGHTHS = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** Draws bars below each other, the longest `width` characters long; labels and figures are lined up. */
export function drawBars(bars: readonly Bar[], width: number): string[] {
  const largest = Math.max(0, ...bars.map(({ value }) => value));
  const labelWidth = Math.max(0, ...bars.map(({ label }) => label.length));
  const figureWidth = Math.max(0, ...bars.map(({ figure }) => figure.length));
  return bars.map(({ label, value, figure, note }) => {
    const bar = drawBar(largest > 0 ? value / largest : 0, width).padEnd(width);
    return `${label.padEnd(labelWidth)}  ${bar}  ${figure.padStart(figureWidth)}${note === undefined ? '' : `  ${note}`}`;
  });
}

/** A bar for a share of `width`; what is more than nothing is seen. */
function drawBar(share: number, width: number): string {
  const eighths = share > 0 ? Math.max(1, Math.round(share * width * 8)) : 0;
  return BLOCK.repeat(Math.floor(eighths / 8)) + (EIGHTHS[(eighths % 8) - 1] ?? '');
}
