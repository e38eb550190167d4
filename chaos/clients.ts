import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeEnd, OwnedProcess, logTail, type Watchdog } from '../stack/processes.js';

const SCRIPTS = join(import.meta.dirname, 'clients');

/** Runs the harness's Kafka clients, which are written in Python with librdkafka. Their logs go into a directory. */
export class Clients {
  readonly #python: string;
  readonly #directory: string;
  readonly #watchdog: Watchdog;

  constructor(python: string, directory: string, watchdog: Watchdog) {
    this.#python = python;
    this.#directory = directory;
    this.#watchdog = watchdog;
  }

  /** @param name of a file in clients/, without its ending */
  start(name: string, options: object): Promise<OwnedProcess> {
    const spec = {
      command: this.#python,
      args: [join(SCRIPTS, `${name}.py`), JSON.stringify(options)],
      cwd: this.#directory,
      env: { PYTHONDONTWRITEBYTECODE: '1' },
      logFile: this.#logOf(name),
    };
    return OwnedProcess.spawn(spec, this.#watchdog);
  }

  /** Runs one to its end. Throws if it fails, or takes longer. */
  async run(name: string, options: object, withinMs: number): Promise<void> {
    await this.finish(name, await this.start(name, options), withinMs);
  }

  /** Waits for the end of one that was started. */
  async finish(name: string, started: OwnedProcess, withinMs: number): Promise<void> {
    const timer = setTimeout(() => void started.end(0), withinMs);
    const end = await started.ended;
    clearTimeout(timer);
    if (end.code !== 0) throw new Error(`${name}.py ${describeEnd(end)}:\n${await logTail(this.#logOf(name))}`);
  }

  #logOf(name: string): string {
    return join(this.#directory, `${name}.log`);
  }
}

/** What a client has written, a line of JSON each; without a last line that is not complete yet. */
export function linesOf<T>(file: string): T[] {
  const text = readFileSync(file, 'utf8');
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  lines.pop();
  return lines.map((line) => JSON.parse(line) as T);
}
