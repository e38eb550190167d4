import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { atTestEnd } from './besideOthers.js';

const HOST = fileURLToPath(new URL('./commandHost.mjs', import.meta.url));

/** Follows the output of a command. */
const END = '\0';

/** How a command ended, with all that it printed. */
export interface CommandEnd {
  readonly code: number | null;
  readonly output: string;
}

/** What commandHost.mjs says. */
interface Answer {
  readonly code: number;
  /** What the command left open: as a process of its own it would not have ended. */
  readonly open: readonly string[];
}

/**
 * A process that runs commands of the built CLI, one after the other: to load them takes most of a command's processor time. It ends with
 * the process that started it.
 */
class CommandHost {
  readonly #process: ChildProcess;
  #last: Promise<unknown> = Promise.resolve();

  constructor() {
    this.#process = fork(HOST, { execArgv: [], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.#process.unref();
    this.#process.channel?.unref();
    for (const stream of this.#outputs()) stream.setEncoding('utf8');
  }

  get running(): boolean {
    return this.#process.connected;
  }

  run(args: readonly string[]): Promise<CommandEnd> {
    const end = this.#last.then(() => this.#run(args));
    this.#last = end.catch(() => undefined);
    return end;
  }

  async #run(args: readonly string[]): Promise<CommandEnd> {
    const outputs = this.#outputs();
    const ending = new AbortController();
    const { signal } = ending;
    let output = '';
    let isOver = false;
    // A test that gives up leaves no command behind.
    atTestEnd(() => {
      if (!isOver) this.#process.kill('SIGKILL');
      return Promise.resolve();
    });
    const printed = outputs.map(
      (stream) =>
        new Promise<void>((resolve) => {
          const take = (text: string): void => {
            const isEnd = text.endsWith(END);
            output += isEnd ? text.slice(0, -END.length) : text;
            if (isEnd) resolve();
          };
          stream.on('data', take);
          signal.addEventListener('abort', () => stream.off('data', take), { once: true });
        }),
    );
    const answered = once(this.#process, 'message', { signal });
    const died = once(this.#process, 'exit', { signal }).then(([code]) => {
      throw new Error(`the command ended the process with ${String(code)}:\n${output}`);
    });
    try {
      this.#process.send(args);
      const [[answer]] = (await Promise.race([Promise.all([answered, ...printed]), died])) as [[Answer]];
      if (answer.open.length > 0)
        throw new Error(`the command did not end: open is ${answer.open.join(', ')}\n${output}`);
      return { code: answer.code, output };
    } finally {
      isOver = true;
      ending.abort();
      await Promise.allSettled([answered, died]);
    }
  }

  #outputs(): NodeJS.ReadableStream[] {
    const { stdout, stderr } = this.#process;
    return [stdout, stderr].filter((stream) => stream !== null);
  }
}

let host: CommandHost | undefined;

/** Runs a command of the built CLI to its end, like a process of its own. */
export function runCommand(args: readonly string[]): Promise<CommandEnd> {
  if (!host?.running) host = new CommandHost();
  return host.run(args);
}
