/** Runs actions one after the other, in the order of the calls. One that fails does not stop the next. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs an action after all earlier ones. Resolves or rejects as the action does. */
  next<Result>(act: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(act);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Waits for all actions so far. */
  async settled(): Promise<void> {
    await this.#last;
  }
}
