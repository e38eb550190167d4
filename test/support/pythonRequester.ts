import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { StackEvent } from '../../stack/progress.js';
import { VERSIONS } from '../../stack/versions.js';
import type { EncryptionKeys } from '../../src/temporal/payloadCodec.js';
import type { Confirmation } from '../../src/protocol/request.js';
import { pythonWith } from '../../stack/python.js';

const SCRIPT = fileURLToPath(new URL('./requester.py', import.meta.url));
const EXAMPLES = fileURLToPath(new URL('../../examples', import.meta.url));
const TIMEOUT_MS = 150_000;

export interface PythonRequests {
  /** Of Temporal. */
  readonly address: string;
  readonly pipeline: string;
  /** The bridge's. */
  readonly taskQueue: string;
  /** Of a workflow each. */
  readonly values: readonly string[];
  /** Default: nothing is encrypted. */
  readonly encryption?: EncryptionKeys;
}

/** Runs requesters of Temporal's Python SDK to their ends. The confirmations, in the order of the values. */
export async function requestWithPython(
  { address, pipeline, taskQueue, values, encryption }: PythonRequests,
  onProgress?: (event: StackEvent) => void,
): Promise<Confirmation[]> {
  const further = encryption === undefined ? [] : [`cryptography==${VERSIONS.cryptography}`];
  const python = await pythonWith('temporalio', VERSIONS.temporalio, onProgress, further);
  const parameters = [SCRIPT, address, pipeline, taskQueue, ...values];
  const keys = encryption === undefined ? {} : { KTB_ENCRYPTION: JSON.stringify(encryption), PYTHONPATH: EXAMPLES };
  const env = { ...process.env, ...keys };
  const { stdout } = await promisify(execFile)(python, parameters, { timeout: TIMEOUT_MS, env });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Confirmation);
}
