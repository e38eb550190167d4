import type { PipelineConfig } from '../../config/config.js';
import { loadConfig } from '../../config/load.js';
import { isInputTopic, type TopicChoice } from '../../config/topics.js';
import { producerFactory } from '../../kafka/producers.js';
import { Publisher } from '../../kafka/publisher.js';
import { Interruption } from './interruption.js';
import { UsageError } from '../../lib/usageError.js';
import { withKafka } from '../shared/connections.js';
import { pipelineNamed } from '../shared/chosen.js';
import { parsePlace } from '../shared/parsePlace.js';
import { forEachLetter, type Choice, type Letter } from './letters.js';
import { replayDecisions } from './replayDecisions.js';
import { ReplayReport } from './replayReport.js';
import { WaitingReplays } from './waitingReplays.js';

/**
 * `ktb dlq replay`: publishes chosen records to their topics again, so that they are inserted and answered like new
 * ones. SIGINT or SIGTERM ends it after the portion that is being published, with its report.
 */
export async function replayDeadLetters(
  pipeline: string,
  options: Choice & { config: string; after?: readonly string[]; all: boolean; dryRun: boolean },
): Promise<void> {
  if (!options.all && options.code.length === 0 && options.record.length === 0)
    throw new UsageError('say which dead letters: --code, --record, or --all');
  options.record.forEach(parsePlace);
  const after = parseAfter(options.after ?? []);
  const config = loadConfig(options.config);
  const chosen = pipelineNamed(config, pipeline);
  const readAgain = (topic: string): readonly string[] => readAgainText(topic, chosen, config.pipelines);
  const report = new ReplayReport(options.dryRun, readAgain, after);
  const decide = replayDecisions(chosen, after);
  const interruption = new Interruption();
  try {
    await withKafka(config, async (kafka, admin) => {
      const publisher = new Publisher({ createProducer: producerFactory(kafka) });
      const keepsOffset = (topic: string): boolean => isVersionedByOffset(topic, config.pipelines);
      const waiting = new WaitingReplays((portion) => report.publish(publisher, portion), keepsOffset);
      try {
        const decideAndPublish = async (letter: Letter): Promise<void> => {
          interruption.check();
          const decision = decide(letter);
          if (decision.type === 'leave') report.left(decision.obstacle);
          else if (decision.type === 'passOver') report.passedOver(letter);
          else if (decision.type === 'replay' && options.dryRun) report.replayed(decision.topic, 1);
          else if (decision.type === 'replay') await waiting.add(decision.topic, letter);
        };
        const isAll = await forEachLetter(kafka, admin, chosen, options, decideAndPublish, after);
        interruption.check();
        await waiting.publish();
        if (!isAll) report.isUnfinished();
      } catch (error) {
        report.isUnfinished();
        throw error;
      } finally {
        await publisher.close();
      }
    });
  } finally {
    // Printed also after an error: these records were published, and somebody who repeats the command has to know it.
    report.print();
    interruption.close();
  }
  if (report.isEmpty) console.log('no such dead letters');
  if (!report.isWhole) process.exitCode = 1;
}

/**
 * The dead letters after which a replay begins, by partition of the dead-letter topic: `0/1067`.
 *
 * @throws UsageError
 */
export function parseAfter(texts: readonly string[]): ReadonlyMap<number, number> {
  return new Map(
    texts.map((text) => {
      const [, partition, offset] = /^(\d{1,9})\/(\d{1,15})$/.exec(text) ?? [];
      if (partition === undefined)
        throw new UsageError(`${text} is no place on the dead-letter topic: say partition/offset, such as 0/1067`);
      return [Number(partition), Number(offset)] as const;
    }),
  );
}

/** Whether a pipeline takes the latest change of a row by the offsets of a topic. */
function isVersionedByOffset(topic: string, pipelines: readonly PipelineConfig[]): boolean {
  return pipelines.some(
    (pipeline) => pipeline.settings.destination.mapping.envelope?.version === 'offset' && isInputTopic(pipeline, topic),
  );
}

/** Says which other pipelines of the configuration get the records of a topic again, too. Empty if there are none. Pure. */
export function readAgainText(
  topic: string,
  replayed: Pick<PipelineConfig, 'name'>,
  pipelines: readonly (TopicChoice & Pick<PipelineConfig, 'name'>)[],
): readonly string[] {
  const others = pipelines.filter(({ name, ...choice }) => name !== replayed.name && isInputTopic(choice, topic));
  return others.map(({ name }) => `pipeline ${name} reads ${topic}, too, and gets these records again, as new ones`);
}
