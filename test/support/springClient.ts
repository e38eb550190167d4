import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CLASS_PATH, ensureJars, type JarSet } from '../../stack/native/maven.js';
import { javaCommand } from '../../stack/prerequisites.js';
import { Watchdog } from '../../stack/processes.js';
import { Progress } from '../../stack/progress.js';
import { VERSIONS } from '../../stack/versions.js';
import { reportSetUp } from './useStack.js';

const SOURCE = fileURLToPath(new URL('./SpringRequester.java', import.meta.url));

const JARS: JarSet = {
  name: 'spring-kafka',
  version: VERSIONS.springKafka,
  title: `Spring Kafka ${VERSIONS.springKafka}`,
  artifacts: [
    `org.springframework.kafka:spring-kafka:${VERSIONS.springKafka}`,
    `org.eclipse.jdt:ecj:${VERSIONS.ecj}`,
    `org.slf4j:slf4j-nop:2.0.17`,
  ],
};

export interface SpringRequest {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly replyTopic: string;
  /** The partition that replies are awaited on; -1: those that the consumer group gives. */
  readonly partition: number;
  readonly values: readonly string[];
}

export interface SpringReply {
  readonly partition: number;
  readonly value: unknown;
}

/** Sends requests with Spring Kafka's `ReplyingKafkaTemplate`, one after the other; gives the replies. */
export async function requestWithSpring({
  brokers,
  topic,
  replyTopic,
  partition,
  values,
}: SpringRequest): Promise<SpringReply[]> {
  const directory = await ensureJars(JARS, { progress: new Progress(reportSetUp), watchdog: new Watchdog() });
  const jars = join(directory, CLASS_PATH);
  const classes = mkdtempSync(join(tmpdir(), 'ktb-spring-'));
  try {
    const compiler = 'org.eclipse.jdt.internal.compiler.batch.Main';
    await java([
      '-cp',
      jars,
      compiler,
      '-17',
      '-proc:none',
      '-nowarn',
      '-cp',
      await jarList(directory),
      '-d',
      classes,
      SOURCE,
    ]);
    const parameters = [brokers.join(','), topic, replyTopic, String(partition), ...values];
    const output = await java(['-Xmx128m', '-cp', `${classes}:${jars}`, 'SpringRequester', ...parameters]);
    return [...output.matchAll(/^reply (\d+) (.*)$/gm)].map(([, from, value]) => ({
      partition: Number(from),
      value: JSON.parse(value ?? '') as unknown,
    }));
  } finally {
    rmSync(classes, { recursive: true, force: true });
  }
}

/** The compiler does not understand a `*` in a class path. */
async function jarList(directory: string): Promise<string> {
  const folder = join(directory, dirname(CLASS_PATH));
  return (await readdir(folder)).map((name) => join(folder, name)).join(':');
}

/** Runs a JVM to its end; its output. Rejects with the output where it fails. */
async function java(args: readonly string[]): Promise<string> {
  const child = spawn(javaCommand(), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`java ended with ${code}:\n${output}`);
  return output;
}
