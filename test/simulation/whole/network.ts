import { asError } from '../../../src/lib/asError.js';
import type { Clock, Process } from './clock.js';

/** What a process asks of a server, such as `temporal.signal`. An outage of `temporal` is one of all that begins so. */
export type Request = `${'kafka' | 'temporal' | 'clickhouse'}.${string}`;

/**
 * What becomes of a request. `lost`: it never arrives. `answerLost`: it arrives, and its sender never knows. `late`: its
 * sender has given it up when it arrives. `slow`: it takes long, and is answered.
 */
export const FATES = ['lost', 'answerLost', 'late', 'slow'] as const;
export type Fate = (typeof FATES)[number];

/** How long a request is on its way, at most, each way. */
const WAY_MAX_MS = 8;
/** How soon a sender knows that a connection has broken. */
const BROKEN_AFTER_MS = 20;

interface Fault {
  readonly process: Process;
  readonly request: string;
  readonly fate: Fate;
  readonly ms: number;
}

interface Outage {
  readonly process: Process | null;
  readonly request: string;
  readonly endMs: number;
}

/** The network between the processes and the servers. */
export class Network {
  readonly #clock: Clock;
  readonly #tell: (what: string) => void;
  #faults: Fault[] = [];
  #outages: Outage[] = [];
  #sent = 0;

  constructor(clock: Clock, tell: (what: string) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** The next such request of a process meets with this. */
  arm(fault: Fault): void {
    this.#faults.push(fault);
  }

  /** @param process null: nobody gets through */
  cut(request: string, process: Process | null, ms: number): void {
    this.#outages.push({ request, process, endMs: this.#clock.nowMs + ms });
  }

  heal(): void {
    this.#faults = [];
    this.#outages = [];
  }

  isCut(process: Process, request: string): boolean {
    return this.#outages.some(
      (outage) =>
        outage.endMs > this.#clock.nowMs &&
        request.startsWith(outage.request) &&
        (outage.process === null || outage.process === process),
    );
  }

  /**
   * A request to a server, and its answer.
   *
   * @param serve what the server does, told whether nobody waits for it any more. What it throws is the answer
   * @param broken what the sender gets if its connection breaks
   * @param takesMs how long the server works on it. `serve` is called at the end of that
   */
  ask<Answer>(
    process: Process,
    request: Request,
    serve: (isLate: boolean) => Answer,
    broken: (why: string) => Error,
    takesMs = 0,
  ): Promise<Answer> {
    const clock = this.#clock;
    const [there, back] = [this.#wayMs(), this.#wayMs()];
    return new Promise((resolve, reject) => {
      const breaks = (delayMs: number, why: string): void =>
        void clock.after(delayMs, process, () => reject(broken(why)));
      const arrives = (delayMs: number, answers: boolean, extraMs = 0, isLate = false): void =>
        void clock.after(delayMs + takesMs, null, () => {
          let answer: () => void;
          try {
            const given = serve(isLate);
            // It may be an answer that is still to come.
            Promise.resolve(given).catch(() => undefined);
            answer = () => resolve(given);
          } catch (error) {
            answer = () => reject(asError(error));
          }
          if (!answers) return;
          if (this.isCut(process, request)) breaks(back, 'the connection has broken');
          else clock.after(back + extraMs, process, answer);
        });
      if (this.isCut(process, request)) {
        breaks(there, 'the connection is refused');
        return;
      }
      const fault = this.#faultOf(process, request);
      if (fault === undefined) arrives(there, true);
      else {
        this.#tell(`${request} of ${process.name}: ${FATE_WORDS[fault.fate](fault.ms)}`);
        switch (fault.fate) {
          case 'lost':
            breaks(BROKEN_AFTER_MS, 'the connection has broken');
            break;
          case 'answerLost':
            arrives(there, false);
            breaks(there + takesMs + BROKEN_AFTER_MS, 'the connection has broken');
            break;
          case 'late':
            breaks(BROKEN_AFTER_MS, 'the connection has broken');
            arrives(there + fault.ms, false, 0, true);
            break;
          case 'slow':
            arrives(there, true, fault.ms);
        }
      }
    });
  }

  #faultOf(process: Process, request: string): Fault | undefined {
    const index = this.#faults.findIndex((fault) => fault.process === process && request.startsWith(fault.request));
    return index < 0 ? undefined : this.#faults.splice(index, 1)[0];
  }

  #wayMs(): number {
    return 1 + ((Math.imul(++this.#sent, 0x9e3779b1) >>> 29) % WAY_MAX_MS);
  }
}

export const FATE_WORDS: Readonly<Record<Fate, (ms: number) => string>> = {
  lost: () => 'is lost',
  answerLost: () => 'arrives, and its answer is lost',
  late: (ms) => `is given up, and arrives ${ms} ms later`,
  slow: (ms) => `is answered ${ms} ms later`,
};
