import { isDeepStrictEqual } from 'node:util';
import type { ParsedConfig } from './schema.js';

/** `live`: a running daemon takes a changed value. `restart`: it goes on with the old value until it is restarted. */
export type SettingClass = 'live' | 'restart';

/** The class of a setting, or those of the settings in a group. */
type Classes = SettingClass | { readonly [key: string]: Classes };

type ParsedPipeline = ParsedConfig['pipelines'][string];

/**
 * What of a pipeline may change. The rest decides which records are read, which batcher or table gets them, and how their
 * bytes are understood: there, members that changed at different moments could disagree.
 */
const PIPELINE = {
  topics: 'restart',
  groupId: 'restart',
  startFrom: 'restart',
  onGap: 'restart',
  format: 'restart',
  avro: 'restart',
  protobuf: 'restart',
  envelope: 'restart',
  debezium: 'restart',
  key: 'restart',
  unknownFields: 'live',
  evolve: 'restart',
  where: 'live',
  tombstones: 'live',
  table: 'restart',
  tables: 'restart',
  columns: 'live',
  batchers: 'restart',
  shardBy: 'restart',
  keyless: 'restart',
  batch: 'live',
  signal: 'live',
  flow: 'restart',
  maxBuffered: 'restart',
  insert: 'live',
  reply: { topic: 'restart', copyHeaders: 'live', allowTopics: 'restart' },
  deadLetter: 'restart',
} as const satisfies Readonly<Record<keyof ParsedPipeline, Classes>>;

const CONFIGURATION = {
  installation: 'restart',
  kafka: 'restart',
  temporal: 'restart',
  clickhouse: 'restart',
  schemaRegistry: 'restart',
  worker: 'restart',
  http: 'restart',
  log: { level: 'live', format: 'restart' },
  shutdown: 'restart',
} as const satisfies Readonly<Record<Exclude<keyof ParsedConfig, 'pipelines'>, Classes>>;

/** Sections by which a process asks for the columns that a table has, or makes values for them. They need a restart. */
const DECIDING_COLUMNS: readonly string[] = ['clickhouse', 'schemaRegistry'];

/** Settings that name columns, which the table must have. */
const WITH_COLUMNS: readonly (keyof ParsedPipeline)[] = ['columns', 'unknownFields'];

/** The keys of a setting, from the outermost. */
type Path = readonly string[];

/**
 * The class of a setting. Undefined if it has none: each key of the file and of a pipeline is named here, and those within a
 * group go with the group.
 *
 * @param path such as `['pipelines', 'orders', 'batch', 'maxDelay']`
 */
export function classOf(path: Path): SettingClass | undefined {
  const [first, , ...ofPipeline] = path;
  let classes: Classes | undefined = first === 'pipelines' ? PIPELINE : CONFIGURATION;
  for (const key of first === 'pipelines' ? ofPipeline : path) {
    if (typeof classes === 'string') return classes;
    classes = Object.hasOwn(classes, key) ? classes[key] : undefined;
    if (classes === undefined) return undefined;
  }
  // A whole group was added or removed, with what needs a restart.
  return typeof classes === 'string' ? classes : 'restart';
}

/** What becomes of a changed file. Settings are named by their paths, such as `pipelines.orders.batch.maxDelay`. */
export interface ChangePlan {
  /** What runs, with everything that may change. */
  readonly next: ParsedConfig;
  /** What changes while the daemon runs. */
  readonly live: readonly string[];
  /** What needs a restart. */
  readonly restart: readonly string[];
  /** The pipelines whose rows get other columns from now on. */
  readonly remapped: readonly string[];
}

/**
 * Compares what runs with what a file wants. Pure. A pipeline takes its changes together: if one of them needs a restart, none
 * is taken before. So the settings of a pipeline are always those of one file, which was checked as a whole. New columns may
 * be for another ClickHouse or another schema registry: if one of these needs a restart, the pipeline waits for it, too.
 *
 * @param kept pipelines that keep what they have for now. Their changes are not named
 */
export function planChanges(running: ParsedConfig, wanted: ParsedConfig, kept: readonly string[] = []): ChangePlan {
  const live: Path[] = [];
  const restart: Path[] = [];
  const remapped: string[] = [];
  const take = (
    changes: readonly Path[],
    { together, mustWait }: { together: boolean; mustWait: boolean },
  ): boolean => {
    const needRestart = changes.filter((path) => classOf(path) !== 'live');
    const waits = mustWait || (together && needRestart.length > 0);
    restart.push(...(waits ? changes : needRestart));
    if (!waits) live.push(...changes.filter((path) => classOf(path) === 'live'));
    return !waits;
  };
  const { pipelines: before, ...restBefore } = running;
  const { pipelines: after, ...restAfter } = wanted;
  const ofSections = differences(restBefore, restAfter, []);
  take(ofSections, { together: false, mustWait: false });
  const mappingsWait = ofSections.some(([section = '']) => DECIDING_COLUMNS.includes(section));
  const pipelines = { ...before };
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const [old, changed] = [before[name], after[name]];
    if (kept.includes(name)) continue;
    const isRemapped = WITH_COLUMNS.some((key) => !isDeepStrictEqual(old?.[key], changed?.[key]));
    const changes = differences(old, changed, ['pipelines', name]);
    const isTaken = take(changes, { together: true, mustWait: mappingsWait && isRemapped });
    if (!isTaken || old === undefined || changed === undefined) continue;
    pipelines[name] = changed;
    if (isRemapped) remapped.push(name);
  }
  const next = { ...running, log: { ...running.log, level: wanted.log.level }, pipelines };
  const named = (paths: readonly Path[]): string[] => paths.map((path) => path.join('.'));
  return { next, live: named(live), restart: named(restart), remapped };
}

/** The paths of the innermost settings that differ. Of a list it is the whole list. */
function differences(before: unknown, after: unknown, path: Path): Path[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isMapping(before) || !isMapping(after)) return [path];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => differences(before[key], after[key], [...path, key]));
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
