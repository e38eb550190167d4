import type { Destination } from './settings.js';

/** What stands for the topic in a table's name. */
const TOPIC = '{topic}';

/** The table that a topic's records go to. */
export function tableOf({ table }: Pick<Destination, 'table'>, topic: string): string {
  if (typeof table === 'string') return named(table, topic);
  return Object.hasOwn(table.ofTopics, topic) ? (table.ofTopics[topic] as string) : named(table.others, topic);
}

/**
 * All tables that the records of these topics go to, each with its topics. Without a topic the one table that is known
 * before there is any, if there is one.
 */
export function tablesOf(
  destination: Pick<Destination, 'table'>,
  topics: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const tables = new Map<string, string[]>();
  for (const topic of topics) {
    const table = tableOf(destination, topic);
    const others = tables.get(table);
    if (others === undefined) tables.set(table, [topic]);
    else others.push(topic);
  }
  const only = onlyTable(destination);
  if (topics.length === 0 && only !== null) tables.set(only, []);
  return tables;
}

/** The table that all records go to, whatever their topic; null where it depends on that. */
export function onlyTable({ table }: Pick<Destination, 'table'>): string | null {
  return typeof table === 'string' && !table.includes(TOPIC) ? table : null;
}

/** The table of rows that come from workflows, which have no topic; null where the topic decides for all others too. */
export function tableOfRequests({ table }: Pick<Destination, 'table'>): string | null {
  return onlyTable({ table: typeof table === 'string' ? table : table.others });
}

/**
 * Topics that share a table although each was to have its own: their names differ only in what becomes an underscore. By
 * table. Those that the configuration sends to one table by their names are no such.
 */
export function collidingTopics(
  { table }: Pick<Destination, 'table'>,
  topics: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  return new Map(
    [...tablesOf({ table }, templatedTopics({ table }, topics))].filter(([, sharing]) => sharing.length > 1),
  );
}

/** A pipeline, and the topics that it reads. */
export interface TablesOfPipeline {
  readonly name: string;
  readonly destination: Pick<Destination, 'table'>;
  readonly topics: readonly string[];
}

/**
 * Tables that several pipelines fill from different topics, although each topic was to have its own. By table, the topics, each with
 * its pipeline. Within one pipeline {@link collidingTopics} finds them.
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

/** Topics whose table is made of their names. */
function templatedTopics({ table }: Pick<Destination, 'table'>, topics: readonly string[]): readonly string[] {
  const template = typeof table === 'string' ? table : table.others;
  if (!template.includes(TOPIC)) return [];
  return topics.filter((topic) => typeof table === 'string' || !Object.hasOwn(table.ofTopics, topic));
}

/** A table's name taken apart. */
export interface TableName {
  /** Null: the connection's own. */
  readonly database: string | null;
  readonly name: string;
}

/** A part of a table's name: as it is, or between backquotes, in which `\` precedes a backquote or a backslash. */
const PART = /`((?:[^`\\]|\\[^]|``)*)`|[^`.]+/g;

/** `orders`, `shop.orders`, `` `my.shop`.orders ``. */
export function parseTableName(text: string): TableName {
  const parts = Array.from(text.matchAll(PART), ([plain, quoted]) =>
    quoted === undefined ? plain : quoted.replaceAll(/\\([^])|``/g, (_, escaped: string | undefined) => escaped ?? '`'),
  );
  const [first = '', second] = parts;
  return second === undefined ? { database: null, name: first } : { database: first, name: second };
}

/** A topic's name may have what an identifier of SQL may not: dots and dashes become underscores. */
function named(template: string, topic: string): string {
  if (!template.includes(TOPIC)) return template;
  return template
    .replaceAll(TOPIC, topic.replace(/[^A-Za-z0-9_]/g, '_'))
    .replaceAll(PART, (part) => (/^\d/.test(part) ? `_${part}` : part));
}
