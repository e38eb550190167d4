import { MultiBar } from 'cli-progress';
import { closeOnce } from './output.js';
import { grouped } from './text.js';

/** How far the records have come. */
export interface Progress {
  readonly produced: number;
  readonly acknowledged: number;
}

/** A display that follows a {@link Progress} until it is closed. */
export interface LiveProgress {
  close(): void;
}

const REDRAW_EVERY_MS = 125;
const LINE_EVERY_MS = 3_000;

/**
 * Shows what was produced and what was acknowledged: as two bars on a terminal, elsewhere as a line every 3 seconds.
 *
 * @param signal closes it, too
 */
export function showProgress(total: number, read: () => Progress, signal: AbortSignal): LiveProgress {
  const stream = process.stdout;
  const display = stream.isTTY ? bars(total, read, stream) : lines(total, read, stream);
  return { close: closeOnce(display, signal) };
}

function bars(total: number, read: () => Progress, stream: NodeJS.WriteStream): LiveProgress {
  const startedAtMs = performance.now();
  const display = new MultiBar({
    stream,
    format: '   {what} {bar} {shown} of {all}  {rate}',
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 30,
    fps: 1_000 / REDRAW_EVERY_MS,
    clearOnComplete: false,
    hideCursor: true,
    linewrap: false,
    forceRedraw: true,
  });
  const create = (what: string) => display.create(total, 0, { what, ...fields(0, total, 0) });
  const produced = create('produced    ');
  const acknowledged = create('acknowledged');
  let producedAtMs: number | undefined;
  const redraw = (): void => {
    const now = performance.now();
    const progress = read();
    if (progress.produced >= total) producedAtMs ??= now;
    produced.update(progress.produced, fields(progress.produced, total, (producedAtMs ?? now) - startedAtMs));
    acknowledged.update(progress.acknowledged, fields(progress.acknowledged, total, now - startedAtMs));
  };
  const timer = setInterval(redraw, REDRAW_EVERY_MS);
  return {
    close: () => {
      clearInterval(timer);
      redraw();
      display.stop();
    },
  };
}

function fields(done: number, total: number, elapsedMs: number): { shown: string; all: string; rate: string } {
  const all = grouped(total);
  const rate = elapsedMs > 0 ? `${grouped((done / elapsedMs) * 1_000)}/s` : '';
  return { shown: grouped(done).padStart(all.length), all, rate: rate.padStart(9) };
}

function lines(total: number, read: () => Progress, stream: NodeJS.WriteStream): LiveProgress {
  let last = '';
  const write = (): void => {
    const { produced, acknowledged } = read();
    const line = `   produced ${grouped(produced)}, acknowledged ${grouped(acknowledged)} of ${grouped(total)}\n`;
    if (line !== last) stream.write(line);
    last = line;
  };
  const timer = setInterval(write, LINE_EVERY_MS);
  return {
    close: () => {
      clearInterval(timer);
      write();
    },
  };
}
