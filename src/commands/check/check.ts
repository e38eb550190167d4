import Table from 'cli-table3';
import type { Config } from '../../config/config.js';
import { filledTables } from '../../config/filledTables.js';
import { loadConfig } from '../../config/load.js';
import { ConfigError } from '../../config/problems.js';
import { inputTopics } from '../../config/topics.js';
import { answerOf } from '../shared/answer.js';
import { checkTables } from './checkClickHouse.js';
import { checkEncryption } from './checkEncryption.js';
import { checkInstallation } from './checkInstallation.js';
import { checkKafkaTopics, existingTopics } from './checkKafka.js';
import { checkRegistry } from './checkRegistry.js';
import { checkNamespace } from './checkTemporal.js';
import { counted, judges, type Finding } from './finding.js';

/** Time for all questions to one part. */
const PART_TIMEOUT_MS = 15_000;

/** In addition, for each table. */
const TABLE_TIMEOUT_MS = 1_000;

/**
 * `ktb check`: checks everything that the daemon works with, and changes nothing. Exit code 1 if something is wrong, 2
 * if the configuration is wrong.
 */
export async function check({ config: file, json }: { config: string; json: boolean }): Promise<void> {
  let config: Config;
  try {
    config = loadConfig(file);
  } catch (error) {
    if (!json || !(error instanceof ConfigError)) throw error;
    print(
      error.problems.map(({ path, message }) =>
        judges(`configuration ${path.length === 0 ? file : path.join('.')}`).wrong(message, 'mend the configuration'),
      ),
      json,
    );
    process.exitCode = 2;
    return;
  }
  // The topics decide which tables have to exist. Without Kafka these are the topics that the configuration names.
  const topics = await answerOf(existingTopics(config), PART_TIMEOUT_MS);
  const existing = topics.ok ? topics.value : [];
  const filled = config.pipelines.flatMap((pipeline) => filledTables(pipeline, inputTopics(pipeline, existing)));
  const { schemaRegistry: registry } = config;
  const parts = await Promise.all([
    findings(`Kafka at ${config.kafka.brokers.join(', ')}`, checkKafkaTopics(config)),
    findings(`Temporal at ${config.temporal.address}`, checkTemporalParts(config)),
    findings(
      `ClickHouse at ${config.clickhouse.urls.join(', ')}`,
      checkTables(config, existing, filled),
      PART_TIMEOUT_MS + filled.length * TABLE_TIMEOUT_MS,
    ),
    registry === null ? [] : findings(`schema registry at ${registry.url}`, checkRegistry(registry)),
    checkInstallation(config, PART_TIMEOUT_MS),
  ]);
  const all = [
    judges(`configuration ${file}`).ok(`pipelines: ${config.pipelines.map(({ name }) => name).join(', ')}`),
    ...parts.flat(),
  ];
  print(all, json);
  if (all.some(({ level }) => level === 'wrong')) process.exitCode = 1;
}

async function checkTemporalParts(config: Config): Promise<Finding[]> {
  return [...(await checkNamespace(config)), ...(await checkEncryption(config))];
}

/** The findings about one part, or that it does not answer. */
async function findings(part: string, looking: Promise<Finding[]>, timeoutMs = PART_TIMEOUT_MS): Promise<Finding[]> {
  const answer = await answerOf(looking, timeoutMs);
  const { ok, wrong } = judges(part);
  return answer.ok ? [ok('answers'), ...answer.value] : [wrong(answer.error, 'mend that, and check again')];
}

function print(all: readonly Finding[], json: boolean): void {
  if (json) {
    console.log(JSON.stringify(all, null, 2));
    return;
  }
  const table = new Table({
    head: ['', 'looked at', 'found', 'what to do'],
    colWidths: [10, 34, 60, 44],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { level, subject, message, todo } of all) table.push([level, subject, message, todo]);
  console.log(table.toString());
  console.log(counted(all));
}
