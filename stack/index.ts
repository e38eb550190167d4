/**
 * The local stack: real Kafka, Temporal and ClickHouse, for the demo, the tests, the benchmarks, and a person
 * (`npm run stack`). Nothing of it stays behind: {@link Stack.stop} ends every process and removes the data, and so does the
 * end of the process that started it, SIGKILL included.
 *
 *     const stack = await startStack({ brokers: 3 });
 *     try {
 *       await stack.parts.clickhouse.kill();
 *       await stack.parts.clickhouse.start();
 *     } finally {
 *       await stack.stop();
 *     }
 */
import { chooseFlavour } from './flavour.js';
import { StackError, throwIfAborted, type PartName, type Stack, type StackOptions } from './stack.js';
import { Progress } from './progress.js';

export { reportProgress, type StackEvent } from './progress.js';
export { StackError, type PartName, type Stack, type StackOptions, type StackTls } from './stack.js';

const ALL: readonly PartName[] = ['kafka', 'temporal', 'clickhouse'];

/**
 * Starts a stack on free ports with its data in a temporary directory, so that several can run at once. The first one on a
 * machine downloads and builds what it needs (minutes) and keeps it in the user's cache folder; after that some seconds.
 *
 * @throws StackError whose message says what to do; nothing is left behind.
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  throwIfAborted(options.signal);
  const names = new Set(options.only ?? ALL);
  if (options.tls === true && (names.size < ALL.length || options.flavour === 'docker')) {
    throw new StackError('PREREQUISITE', 'A stack with TLS has all three parts, as processes: ask for no others.');
  }
  const wanted = options.tls === true ? 'native' : (options.flavour ?? 'auto');
  const flavour = await chooseFlavour(wanted, names, new Progress(options.onProgress));
  if (flavour === 'docker') {
    const { startDockerStack } = await import('./docker/stack.js');
    return startDockerStack(options, names);
  }
  const { startNativeStack } = await import('./native/stack.js');
  return startNativeStack(options, names);
}
