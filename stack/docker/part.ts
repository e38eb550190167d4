import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerRuntimeClient } from 'testcontainers';
import { StackError, throwIfAborted, type StackPart } from '../stack.js';

const PROBE_EVERY_MS = 100;
const START_WITHIN_MS = 120_000;
const STOP_WITHIN_S = 15;
const LOG_LINES = 40;

type Container = ReturnType<ContainerRuntimeClient['container']['getById']>;

/**
 * A part that is one container, whose ports are bound to fixed ports of this machine, so that it keeps them, and its data,
 * from one start to the next. States and transitions: see {@link StackPart}.
 */
export class DockerPart implements StackPart {
  readonly name: string;
  readonly pids: readonly number[] = [];
  readonly #container: Container;
  readonly #probe: () => Promise<void>;
  #running = false;

  /** @param probe resolves when the part is healthy, rejects when it is not yet */
  constructor(name: string, container: Container, probe: () => Promise<void>) {
    this.name = name;
    this.#container = container;
    this.#probe = probe;
  }

  get running(): boolean {
    return this.#running;
  }

  async start(): Promise<void> {
    if (this.#running) return;
    await this.#container.start();
    await this.untilHealthy();
  }

  /** Waits for a container that has been started. */
  async untilHealthy(signal?: AbortSignal): Promise<void> {
    this.#running = true;
    const stopped = (): void => {
      this.#running = false;
    };
    this.#container.wait().then(stopped, stopped);
    const isRunning = (): boolean => this.#running;
    const deadline = Date.now() + START_WITHIN_MS;
    let lastAnswer: unknown;
    while (isRunning() && Date.now() < deadline) {
      throwIfAborted(signal);
      try {
        await this.#probe();
        return;
      } catch (error) {
        lastAnswer = error;
        await sleep(PROBE_EVERY_MS);
      }
    }
    const answer = lastAnswer instanceof Error ? lastAnswer.message : String(lastAnswer);
    throw new StackError(
      'START',
      `${this.name} did not become healthy; it last answered: ${answer}\n${await this.logTail()}`,
      {
        cause: lastAnswer,
      },
    );
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    await this.#container.stop({ t: STOP_WITHIN_S });
    this.#running = false;
  }

  async kill(): Promise<void> {
    if (!this.#running) return;
    await this.#container.kill();
    await this.#container.wait();
    this.#running = false;
  }

  async suspend(): Promise<void> {
    if (!this.#running) throw new StackError('STATE', `${this.name} does not run.`);
    await this.#container.pause();
  }

  async resume(): Promise<void> {
    if (!this.#running) throw new StackError('STATE', `${this.name} does not run.`);
    await this.#container.unpause();
  }

  async logTail(): Promise<string> {
    const log = await this.#container.logs({ stdout: true, stderr: true, tail: LOG_LINES, follow: false });
    return readableLog(log);
  }

  /** Ends and removes it with its data. */
  async remove(): Promise<void> {
    this.#running = false;
    await this.#container.remove({ force: true, v: true });
  }
}

/** Both outputs are interleaved in frames whose 8 bytes of header are no text. */
async function readableLog(log: Buffer | NodeJS.ReadableStream): Promise<string> {
  const bytes = Buffer.isBuffer(log) ? log.toString() : await text(log);
  return bytes.replaceAll(/[\u0000-\u0008\u000e-\u001f]/g, '');
}
