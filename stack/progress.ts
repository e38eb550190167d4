import { MultiBar, type SingleBar } from 'cli-progress';

/** One thing that happened while a stack was set up, started or stopped. */
export interface StackEvent {
  /** `kafka`, `kafka-2`, `temporal`, `clickhouse` or `stack`. */
  readonly part: string;
  /** What is being done, such as `download Kafka 4.3.0`. */
  readonly step: string;
  /** `note` stands alone; `started` is followed by `done` or `failed` of the same part and step. */
  readonly state: 'started' | 'done' | 'failed' | 'note';
  /** Time since the step started; 0 for `started` and `note`. */
  readonly elapsedMs: number;
}

/** Sends {@link StackEvent}s to whoever asked for them. */
export class Progress {
  readonly #listener: (event: StackEvent) => void;

  constructor(listener: ((event: StackEvent) => void) | undefined) {
    this.#listener = listener ?? (() => undefined);
  }

  /** Runs one step and reports its start and its end. */
  async step<T>(part: string, step: string, run: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    const elapsedMs = (): number => Math.round(performance.now() - startedAt);
    this.#listener({ part, step, state: 'started', elapsedMs: 0 });
    try {
      const result = await run();
      this.#listener({ part, step, state: 'done', elapsedMs: elapsedMs() });
      return result;
    } catch (error) {
      this.#listener({ part, step, state: 'failed', elapsedMs: elapsedMs() });
      throw error;
    }
  }

  /** Reports something that takes no time. */
  note(part: string, step: string): void {
    this.#listener({ part, step, state: 'note', elapsedMs: 0 });
  }
}

/** Shows {@link StackEvent}s to a person. */
export interface ProgressReporter {
  readonly onProgress: (event: StackEvent) => void;
  /** Ends the redrawing, so that other output can follow; after it only notes and failures are shown. */
  close(): void;
}

/** `0.4 s`, `12 s`, `2 min 05 s`. */
export function formatElapsed(elapsedMs: number): string {
  if (elapsedMs < 10_000) return `${(elapsedMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(elapsedMs / 1000);
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/**
 * A reporter for the console: on a terminal one redrawn line for each part with its step and the time since it began;
 * elsewhere (CI, a file) one line for each step begun and ended.
 */
export function reportProgress(stream: NodeJS.WriteStream = process.stderr): ProgressReporter {
  return stream.isTTY ? redrawnLines(stream) : plainLines(stream);
}

function plainLines(stream: NodeJS.WriteStream): ProgressReporter {
  return {
    onProgress: ({ part, step, state, elapsedMs }) => {
      const outcome = state === 'started' ? '...' : state === 'note' ? '' : ` ${state} (${formatElapsed(elapsedMs)})`;
      stream.write(`[${part}] ${step}${outcome}\n`);
    },
    close: () => undefined,
  };
}

interface Line {
  readonly bar: SingleBar;
  steps: { readonly step: string; readonly startedAt: number }[];
}

function redrawnLines(stream: NodeJS.WriteStream): ProgressReporter {
  const bars = new MultiBar({
    stream,
    format: '{mark} {part} {text}',
    fps: 8,
    clearOnComplete: false,
    hideCursor: true,
    forceRedraw: true,
    linewrap: false,
  });
  const lines = new Map<string, Line>();
  const frames = ['|', '/', '-', '\\'];
  let frame = 0;

  const line = (part: string): Line => {
    let found = lines.get(part);
    if (!found) {
      found = { bar: bars.create(1, 0, { mark: ' ', part: part.padEnd(10), text: '' }), steps: [] };
      lines.set(part, found);
    }
    return found;
  };
  const redraw = (): void => {
    frame = (frame + 1) % frames.length;
    for (const { bar, steps } of lines.values()) {
      const current = steps.at(-1);
      if (!current) continue;
      bar.update({
        mark: frames[frame],
        text: `${current.step} ${formatElapsed(performance.now() - current.startedAt)}`,
      });
    }
  };
  const timer = setInterval(redraw, 125);
  timer.unref();

  const afterwards = plainLines(stream);
  let closed = false;
  return {
    onProgress: (event) => {
      const { part, step, state, elapsedMs } = event;
      if (closed) {
        if (state === 'note' || state === 'failed') afterwards.onProgress(event);
        return;
      }
      const found = line(part);
      if (state === 'started') {
        found.steps.push({ step, startedAt: performance.now() });
        redraw();
        return;
      }
      found.steps = found.steps.filter((running) => running.step !== step);
      const mark = { done: '+', failed: 'x', note: ' ' }[state];
      found.bar.update({ mark, text: state === 'note' ? step : `${step} (${formatElapsed(elapsedMs)})` });
    },
    close: () => {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      bars.stop();
    },
  };
}
