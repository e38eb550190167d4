import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Container } from './pod.js';

const CLI = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url));

/** A container's process outside a cluster: its arguments, its environment and no other, from the built package. */
export class ContainerProcess {
  readonly ended: Promise<number | null>;
  readonly #stop: () => void;
  #output = '';

  constructor({ args, environment }: Container) {
    const child = spawn(process.execPath, [CLI, ...args], {
      env: { ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text: Buffer) => (this.#output += text.toString()));
    this.ended = new Promise((resolve) => child.once('close', resolve));
    this.#stop = () => child.kill('SIGTERM');
  }

  get output(): string {
    return this.#output;
  }

  /** SIGTERM, as the kubelet sends it; the exit code. */
  stop(): Promise<number | null> {
    this.#stop();
    return this.ended;
  }
}
