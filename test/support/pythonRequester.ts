import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { StackEvent } from '../../stack/progress.js';
import { VERSIONS } from '../../stack/versions.js';
import type { Confirmation } from '../../src/protocol/request.js';
import { pythonWith } from '../../stack/python.js';

const SCRIPT = fileURLToPath(new URL('./requester.py', import.meta.url));
const TIMEOUT_MS = 150_000;

export interface PythonRequests {
  /** Of Temporal. */
  readonly address: string;
  readonly pipeline: string;
  /** The bridge's. */
  readonly taskQueue: string;
  /** Of a workflow each. */
  readonly values: readonly string[];
}

/** Runs requesters of Temporal's Python SDK to their ends. The confirmations, in the order of the values. */
export async function requestWithPython(
  { address, pipeline, taskQueue, values }: PythonRequests,
  onProgress?: (event: StackEvent) => void,
): Promise<Confirmation[]> {
  const python = await pythonWith('temporalio', VERSIONS.temporalio, onProgress);
  const parameters = [SCRIPT, address, pipeline, taskQueue, ...values];
  const { stdout } = await promisify(execFile)(python, parameters, { timeout: TIMEOUT_MS });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Confirmation);
}
