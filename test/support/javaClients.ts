import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { KAFKA_JARS } from '../../stack/native/kafka.js';
import { jarDirectory } from '../../stack/native/maven.js';

const CLASS_PATH = join(jarDirectory(KAFKA_JARS), 'jars', '*');
/** Without a message for so long, the topic is read to its end. */
const END_MS = 8_000;

export interface JavaTarget {
  readonly brokers: readonly string[];
  readonly topic: string;
}

/** Kafka's own Java producer: what it writes is what other people's programs write. Lines of key, tab, value. */
export async function produceByJava(target: JavaTarget, codec: string, lines: Iterable<string>): Promise<void> {
  const options = ['--compression-codec', codec, '--reader-property', 'parse.key=true'];
  const java = run('org.apache.kafka.tools.ConsoleProducer', target, options);
  for (const line of lines) java.child.stdin.write(`${line}\n`);
  java.child.stdin.end();
  await java.ended;
}

/** The JSON objects among a topic's committed values, by Kafka's own Java consumer: no part of what is tested here. */
export async function committedByJava(target: JavaTarget): Promise<string[]> {
  const options = ['--from-beginning', '--isolation-level', 'read_committed', '--timeout-ms', String(END_MS)];
  const java = run('org.apache.kafka.tools.consumer.ConsoleConsumer', target, options);
  java.child.stdin.end();
  // Its log goes to the same output.
  return (await java.ended).split('\n').filter((line) => line.startsWith('{'));
}

function run(main: string, { brokers, topic }: JavaTarget, options: readonly string[]) {
  const where = ['--bootstrap-server', brokers.join(), '--topic', topic];
  const child = spawn('java', ['-cp', CLASS_PATH, main, ...where, ...options]);
  let output = '';
  let errors = '';
  child.stdout.on('data', (text: Buffer) => (output += text.toString()));
  child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      // The consumer ends by its time-out, with an exception that it calls an error.
      if (code === 0 || errors.includes('TimeoutException')) resolve(output);
      else reject(new Error(`${main} ended with ${code}: ${errors}`));
    });
  });
  return { child, ended };
}
