import Table from 'cli-table3';
import type { Kafka } from 'kafkajs';
import type { PipelineConfig } from '../../config/config.js';
import { loadConfig } from '../../config/load.js';
import type { KafkaAdmin } from '../../kafka/admin.js';
import { messageOf } from '../../lib/messageOf.js';
import { withKafka } from '../shared/connections.js';
import { pipelineNamed } from '../shared/chosen.js';
import { deadLetterTopic, forEachLetter, NO_CHOICE, placeOf } from './letters.js';

/** Different reasons to list, at most. Another program's messages may all differ. */
const REASONS_MAX = 1_000;

const PLAIN = { head: [], border: [] };

interface Reason {
  readonly code: string;
  readonly message: string;
  readonly letters: number;
  /** The place of the first record: `topic/partition/offset`. */
  readonly first: string;
}

/** `ktb dlq list`: counts dead letters by reason. */
export async function listDeadLetters(
  pipeline: string | undefined,
  { config: file, json }: { config: string; json: boolean },
): Promise<void> {
  const config = loadConfig(file);
  const pipelines = pipeline === undefined ? config.pipelines : [pipelineNamed(config, pipeline)];
  // A topic that is missing, or may not be read, hides no other.
  const problems: string[] = [];
  await withKafka(config, async (kafka, admin) => {
    for (const chosen of pipelines) {
      const { name } = chosen;
      try {
        const reasons = await countReasons(kafka, admin, chosen);
        if (json) console.log(JSON.stringify({ pipeline: name, topic: deadLetterTopic(chosen), reasons }));
        else printReasons(chosen, reasons);
      } catch (error) {
        problems.push(`pipeline ${name}: ${messageOf(error)}`);
      }
    }
  });
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

/** The reasons of a pipeline's dead letters, the most frequent one first. */
async function countReasons(kafka: Kafka, admin: KafkaAdmin, pipeline: PipelineConfig): Promise<Reason[]> {
  const reasons = new Map<string, Reason>();
  await forEachLetter(kafka, admin, pipeline, NO_CHOICE, (letter) => {
    const { code } = letter;
    // Which row of a record it was is no reason of its own.
    const reason = letter.message.replace(/^row \d+: /, 'a row: ');
    const known = reasons.get(`${code}\n${reason}`);
    const message = known !== undefined || reasons.size < REASONS_MAX ? reason : '(other messages)';
    const name = `${code}\n${message}`;
    const before = reasons.get(name) ?? { code, message, letters: 0, first: placeOf(letter) };
    reasons.set(name, { ...before, letters: before.letters + 1 });
  });
  return [...reasons.values()].sort((a, b) => b.letters - a.letters);
}

function printReasons(pipeline: PipelineConfig, reasons: readonly Reason[]): void {
  const total = reasons.reduce((sum, { letters }) => sum + letters, 0);
  console.log(`pipeline ${pipeline.name}: ${total.toLocaleString('en')} dead letters on ${deadLetterTopic(pipeline)}`);
  if (total === 0) return;
  const table = new Table({ head: ['letters', 'code', 'message', 'first'], style: PLAIN });
  for (const { letters, code, message, first } of reasons)
    table.push([letters.toLocaleString('en'), code, message, first]);
  console.log(table.toString());
}
