import type { Config } from '../../config/config.js';
import { inputTopics } from '../../config/topics.js';
import { collidingPipelines, collidingTopics, topicsReadTwice } from '../../protocol/tables.js';
import { judges, type Finding } from './finding.js';

const OF_THEIR_OWN = 'give them tables of their own under tables';

/**
 * Warns about tables that get the records of several topics because of their names, or each record several times.
 *
 * @param existing topics that exist
 */
export function sharedTables(config: Config, existing: readonly string[]): Finding[] {
  const read = config.pipelines.map((pipeline) => ({
    name: pipeline.name,
    destination: pipeline.settings.destination,
    topics: inputTopics(pipeline, existing),
  }));
  const shared = read.flatMap(({ destination, topics }) =>
    Array.from(collidingTopics(destination, topics), ([table, sharing]) =>
      judges(`table ${table}`).warning(
        `takes the records of topics ${sharing.join(' and ')}, whose names differ in dots and dashes only`,
        OF_THEIR_OWN,
      ),
    ),
  );
  const sharedByPipelines = Array.from(collidingPipelines(read), ([table, filling]) => {
    const which = filling.map(({ pipeline, topic }) => `${topic} (${pipeline})`).join(' and ');
    return judges(`table ${table}`).warning(
      `takes the records of topics ${which} of several pipelines, whose names differ in dots and dashes only`,
      OF_THEIR_OWN,
    );
  });
  const readTwice = topicsReadTwice(read, config.clickhouse.database).map(({ topic, table, pipelines }) =>
    judges(`table ${table}`).warning(
      `gets each record of topic ${topic} once from each of the pipelines ${pipelines.join(' and ')}, and none of these can be rewound, since it would find the rows of the others`,
      'let one of them read the topic',
    ),
  );
  return [...shared, ...sharedByPipelines, ...readTwice];
}
