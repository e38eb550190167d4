import type { DestinationTable, TableChoice } from './settings.js';

/** The placeholder for the topic in a table's name. */
const TOPIC = '{topic}';

/**
 * The table that a topic's records go to.
 *
 * @throws Error if the topic does not say it
 */
export function tableOf(destination: DestinationTable, topic: string): string {
  const table = choiceOf(destination);
  if (typeof table === 'string') return named(table, topic);
  return Object.hasOwn(table.ofTopics, topic) ? (table.ofTopics[topic] as string) : named(table.others, topic);
}

function choiceOf({ table, decodedTable }: DestinationTable): TableChoice {
  const choice = table ?? decodedTable;
  if (choice === undefined) throw new Error('the settings of the batch name no table: a newer version has made them');
  return choice;
}

/**
 * All tables that the records of these topics may go to, each with its topics. Without topics: the tables that need
 * none, if there are any.
 */
export function tablesOf(
  destination: DestinationTable,
  topics: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const tables = new Map<string, string[]>();
  for (const topic of topics) {
    for (const table of tablesOfTopic(destination, topic)) {
      const others = tables.get(table);
      if (others === undefined) tables.set(table, [topic]);
      else others.push(topic);
    }
  }
  if (topics.length === 0) for (const table of fixedTables(destination) ?? []) tables.set(table, []);
  return tables;
}

/** All tables that a topic's records may go to: one, unless a value of each record decides. */
export function tablesOfTopic(destination: DestinationTable, topic: string): readonly string[] {
  return fixedTables(destination) ?? [tableOf(destination, topic)];
}

/** All tables, if they are the same for every topic. Null if the topic decides. */
export function fixedTables(destination: DestinationTable): readonly string[] | null {
  const { tablesOfValues } = destination;
  if (tablesOfValues !== undefined) {
    const { tables, otherwise } = tablesOfValues;
    const named = tables.map(([, table]) => table);
    return [...new Set(typeof otherwise === 'object' ? [...named, otherwise.table] : named)];
  }
  const only = onlyTable(destination);
  return only === null ? null : [only];
}

/** The one table for all records. Null if the topic decides, or a value of each record. */
export function onlyTable(destination: DestinationTable): string | null {
  if (destination.tablesOfValues !== undefined) return null;
  const table = choiceOf(destination);
  return typeof table === 'string' && !table.includes(TOPIC) ? table : null;
}

/** Whether rows from workflows, which have no topic, have a table. */
export function takesRequests(destination: DestinationTable): boolean {
  return destination.tablesOfValues !== undefined || tableOfRequests(destination) !== null;
}

/**
 * The table for rows that come from workflows. Null if the topic decides for all other records, too.
 *
 * @throws Error if a value of each record decides
 */
export function tableOfRequests(destination: DestinationTable): string | null {
  const table = choiceOf(destination);
  return onlyTable({ table: typeof table === 'string' ? table : table.others });
}

/** Says of a pipeline why it takes no rows from workflows. */
export const NO_TABLE_FOR_REQUESTS = "sends each topic to a table of its own, and a workflow's row has no topic";

/**
 * By table, the topics that share it although each should have its own. Their names differ only in characters that
 * become an underscore. Topics that the configuration sends to one table by name are not listed.
 */
export function collidingTopics(
  destination: DestinationTable,
  topics: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  return new Map(
    [...tablesOf(destination, templatedTopics(destination, topics))].filter(([, sharing]) => sharing.length > 1),
  );
}

/** A pipeline, and the topics that it reads. */
export interface TablesOfPipeline {
  readonly name: string;
  readonly destination: DestinationTable;
  readonly topics: readonly string[];
}

/**
 * By table, the topics of several pipelines that share it although each should have its own, each with its pipeline.
 * {@link collidingTopics} finds those within one pipeline.
 */
export function collidingPipelines(
  pipelines: readonly TablesOfPipeline[],
): ReadonlyMap<string, readonly { readonly pipeline: string; readonly topic: string }[]> {
  const byTable = new Map<string, { readonly pipeline: string; readonly topic: string }[]>();
  for (const { name, destination, topics } of pipelines) {
    for (const topic of templatedTopics(destination, topics)) {
      const table = tableOf(destination, topic);
      byTable.set(table, [...(byTable.get(table) ?? []), { pipeline: name, topic }]);
    }
  }
  const differ = (values: readonly string[]): boolean => new Set(values).size > 1;
  return new Map(
    [...byTable].filter(
      ([, filling]) => differ(filling.map(({ pipeline }) => pipeline)) && differ(filling.map(({ topic }) => topic)),
    ),
  );
}

/** The topics whose table's name is made from theirs. */
function templatedTopics(destination: DestinationTable, topics: readonly string[]): readonly string[] {
  if (destination.tablesOfValues !== undefined) return [];
  const table = choiceOf(destination);
  const template = typeof table === 'string' ? table : table.others;
  if (!template.includes(TOPIC)) return [];
  return topics.filter((topic) => typeof table === 'string' || !Object.hasOwn(table.ofTopics, topic));
}

/**
 * Topics that several pipelines read into one table: each of their records becomes a row for each pipeline.
 *
 * @param ownDatabase the database of names without one
 */
export function topicsReadTwice(
  pipelines: readonly TablesOfPipeline[],
  ownDatabase: string,
): readonly { readonly topic: string; readonly table: string; readonly pipelines: readonly string[] }[] {
  const found = new Map<string, { topic: string; table: string; pipelines: string[] }>();
  for (const { name, destination, topics } of pipelines) {
    for (const topic of topics) {
      for (const table of tablesOfTopic(destination, topic)) {
        const { database, name: ofTable } = parseTableName(table);
        const key = JSON.stringify([topic, database ?? ownDatabase, ofTable]);
        const known = found.get(key);
        if (known === undefined) found.set(key, { topic, table, pipelines: [name] });
        else if (!known.pipelines.includes(name)) known.pipelines.push(name);
      }
    }
  }
  return [...found.values()].filter((one) => one.pipelines.length > 1);
}

/** The parts of a table's name. */
export interface TableName {
  /** Null means the connection's own database. */
  readonly database: string | null;
  readonly name: string;
}

/** A part of a table's name: plain, or between backquotes, in which `\` precedes a backquote or a backslash. */
const PART = /`((?:[^`\\]|\\[^]|``)*)`|[^`.]+/g;

/** `orders`, `shop.orders`, `` `my.shop`.orders ``. */
export function parseTableName(text: string): TableName {
  const parts = Array.from(text.matchAll(PART), ([plain, quoted]) =>
    quoted === undefined ? plain : quoted.replaceAll(/\\([^])|``/g, (_, escaped: string | undefined) => escaped ?? '`'),
  );
  const [first = '', second] = parts;
  return second === undefined ? { database: null, name: first } : { database: first, name: second };
}

/** Where the value stands in the template of a table's name. */
export const VALUE_IN_NAME = '{value}';

/** The table that a template is for a value. The value stays within its part of the name, whatever characters it has. */
export function tableOfValue(template: string, value: string): string {
  const { database, name } = parseTableName(template);
  const parts = database === null ? [name] : [database, name];
  return parts.map((part) => namePart(part.replaceAll(VALUE_IN_NAME, () => value))).join('.');
}

/** A part of a table's name as {@link parseTableName} reads it. */
function namePart(part: string): string {
  return /^[\p{L}_][\p{L}\p{N}_]*$/u.test(part) ? part : `\`${part.replace(/[\\`]/g, '\\$&')}\``;
}

/** Dots and dashes of a topic's name are not allowed in a plain SQL identifier, so they become underscores. */
function named(template: string, topic: string): string {
  if (!template.includes(TOPIC)) return template;
  return template
    .replaceAll(TOPIC, topic.replace(/[^A-Za-z0-9_]/g, '_'))
    .replaceAll(PART, (part) => (/^\d/.test(part) ? `_${part}` : part));
}
