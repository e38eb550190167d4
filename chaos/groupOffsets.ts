import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KAFKA_JARS } from '../stack/native/kafka.js';
import { CLASS_PATH, jarDirectory } from '../stack/native/maven.js';
import { javaCommand, SHORT_LIFE } from '../stack/prerequisites.js';
import { runCommand, type Watchdog } from '../stack/processes.js';
import { InputTopic } from './topic.js';

const WITHIN_MS = 40_000;
const PAUSE_MS = 1_000;

/** What a consumer group has committed of a topic. */
export interface GroupOffsets {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly group: string;
}

/**
 * Deletes what a group has committed of one partition, as if it had expired, or of all partitions, and the group with it.
 * By Kafka's own command, as an operator would: what is committed of the other partitions stays as it is. A group that
 * still has members keeps all, so it is tried again for 40 s.
 *
 * @returns whether there was something, and it is gone
 */
export async function loseOffsets(
  offsets: GroupOffsets,
  partition: number | undefined,
  process: { readonly directory: string; readonly watchdog: Watchdog },
): Promise<boolean> {
  const { brokers, topic, group } = offsets;
  const what = partition === undefined ? ['--delete'] : ['--delete-offsets', '--topic', `${topic}:${partition}`];
  const command = {
    command: javaCommand(),
    args: [
      ...SHORT_LIFE,
      ...['-cp', CLASS_PATH, 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand'],
      ...['--bootstrap-server', brokers.join(','), '--group', group, ...what],
    ],
    cwd: jarDirectory(KAFKA_JARS),
    logFile: join(process.directory, 'group-offsets.log'),
  };
  const signal = AbortSignal.timeout(WITHIN_MS);
  try {
    if (!(await isCommitted(offsets, partition))) return false;
    for (;;) {
      await runCommand(command, process.watchdog, signal).catch(() => undefined);
      if (!(await isCommitted(offsets, partition))) return true;
      await sleep(PAUSE_MS, undefined, { signal });
    }
  } catch {
    // Brokers may be away. What the command said is in its log.
    return false;
  }
}

/** By a new client: partitions may have been added. */
async function isCommitted({ brokers, topic, group }: GroupOffsets, partition: number | undefined): Promise<boolean> {
  const input = await InputTopic.connect(brokers, topic, group);
  try {
    const committed = partition === undefined ? await input.committedInAll() : await input.committed(partition);
    return committed > 0;
  } finally {
    await input.disconnect();
  }
}
