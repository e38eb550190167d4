import { setTimeout as sleep } from 'node:timers/promises';

/** What has to be closed at the end, in the reverse order of its opening. */
export class Cleanup {
  readonly #steps: { readonly what: string; readonly withinMs: number; readonly close: () => Promise<unknown> }[] = [];

  /** @param withinMs after this long the next one follows */
  add(what: string, withinMs: number, close: () => Promise<unknown>): void {
    this.#steps.push({ what, withinMs, close });
  }

  /** Closes everything, whatever fails. Returns what failed or took too long, in words. */
  async run(): Promise<string[]> {
    const problems: string[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      const { what, withinMs, close } = step;
      const tooLong = sleep(withinMs, `did not end within ${withinMs / 1_000} s`, { ref: false });
      const ended = close().then(
        () => undefined,
        (error: unknown) => String(error),
      );
      const problem = await Promise.race([ended, tooLong]);
      if (problem !== undefined) problems.push(`${what}: ${problem}`);
    }
    return problems;
  }
}
