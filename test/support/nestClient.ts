import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = fileURLToPath(new URL('./nestRequester.mjs', import.meta.url));
const TIMEOUT_MS = 150_000;

export interface NestRequests {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly groupId: string;
  readonly values: readonly unknown[];
}

/** What a `ClientKafka` gave for a request: the reply, or the error that ended the observable. */
export interface NestOutcome {
  readonly reply?: unknown;
  readonly error?: unknown;
}

/** Sends requests with NestJS's `ClientKafka`, one after the other; gives the outcomes in the order of the values. */
export async function requestWithNest(requests: NestRequests): Promise<NestOutcome[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, JSON.stringify(requests)], {
    timeout: TIMEOUT_MS,
  });
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as NestOutcome);
}
