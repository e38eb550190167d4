import { whyUnusable } from './certificates.js';
import type { Config } from './config.js';

/** Keys of one section that belong together. */
interface Followed {
  /** The section's keys in the file. */
  readonly section: readonly string[];
  readonly keys: readonly string[];
  /** Why new values, by their keys, cannot be used: then the old ones stay. Null if they can. Default: any can. */
  readonly whyUnusable?: (values: Readonly<Record<string, string>>) => string | null;
}

/** What may change while the daemon runs. */
const FOLLOWED: readonly Followed[] = [
  { section: ['kafka', 'sasl'], keys: ['username', 'password'] },
  { section: ['kafka', 'sasl'], keys: ['clientId', 'clientSecret'] },
  ...certificates('kafka', 'ssl'),
  { section: ['temporal'], keys: ['apiKey'] },
  ...certificates('temporal', 'tls'),
  { section: ['clickhouse'], keys: ['username', 'password'] },
  { section: ['clickhouse'], keys: ['accessToken'] },
  ...certificates('clickhouse', 'tls'),
  { section: ['schemaRegistry'], keys: ['username', 'password'] },
  { section: ['schemaRegistry'], keys: ['token'] },
  ...certificates('schemaRegistry', 'tls'),
  { section: ['http'], keys: ['metricsToken'] },
];

/** The authority may be replaced apart from the client's certificate and key. */
function certificates(...section: readonly string[]): Followed[] {
  return [
    { section, keys: ['ca'], whyUnusable },
    { section, keys: ['cert', 'key'], whyUnusable },
  ];
}

/** A file may be half written. So a change counts if it is read twice, with this time between. */
const BETWEEN_READS_MS = 100;
const READS_MAX = 5;

/** The values of keys that belong together, in the order of the keys. */
type Values = readonly (string | null)[];

/**
 * Makes the configuration tell a secret or a certificate that the file takes from `${file:…}` as it is in that file now,
 * each time that it is asked for, and what belongs to it: the user, or the key. All stays what it was if a file is gone
 * or blank, or if certificate and key do not fit: files are often replaced in several steps. Who asks for two that
 * belong together without waiting in between gets two that were read together.
 *
 * Who copies a section copies the values of that moment, which do not change any more.
 *
 * @param raw the configuration file before its references are replaced
 * @param resolve replaces the references in a text. Null if one cannot be
 */
export function followSecrets(config: Config, raw: unknown, resolve: (text: string) => string | null): void {
  const problems: (() => string | null)[] = [];
  problemsOf.set(config, () => problems.flatMap((problem) => problem() ?? []));
  for (const { section: path, keys, whyUnusable: why = () => null } of FOLLOWED) {
    const section = path.reduce<unknown>(valueOf, config);
    if (typeof section !== 'object' || section === null) continue;
    const given = path.reduce<unknown>(valueOf, raw);
    const texts = keys.map((key) => ({ key, text: valueOf(given, key) })).filter(hasFile);
    // Those that are in no file stay what they are.
    const all = Object.fromEntries(keys.flatMap((key) => ofText(key, valueOf(section, key))));
    const of: Following = {
      read: () => texts.map(({ text }) => resolve(text)),
      first: texts.map(({ key }) => valueOf(section, key) as string),
      whyUnusable: (values) => {
        if (!values.every(isThere)) return 'a file is gone or blank';
        return why({ ...all, ...Object.fromEntries(texts.map(({ key }, index) => [key, values[index] ?? ''])) });
      },
    };
    const follow = following(of);
    const names = texts.map(({ key }) => [...path, key].join('.')).join(' and ');
    problems.push(() => {
      const reason = texts.length === 0 ? null : of.whyUnusable(of.read());
      return reason === null ? null : `what the files of ${names} have now cannot be used: ${reason}`;
    });
    for (const [index, { key }] of texts.entries())
      Object.defineProperty(section, key, { enumerable: true, get: () => follow()[index] });
  }
}

/**
 * The parsed file with the reference `${file:…}` in place of each text that is followed: what is in that file is no matter of
 * the configuration.
 *
 * @param raw the configuration file before its references are replaced
 */
export function withoutFollowed<Parsed>(parsed: Parsed, raw: unknown): Parsed {
  const copy = structuredClone(parsed);
  for (const { section: path, keys } of FOLLOWED) {
    const section = path.reduce<unknown>(valueOf, copy);
    const given = path.reduce<unknown>(valueOf, raw);
    if (typeof section !== 'object' || section === null) continue;
    for (const key of keys) {
      const text = valueOf(given, key);
      if (hasFile({ text })) Object.assign(section, { [key]: text });
    }
  }
  return copy;
}

interface Following {
  readonly read: () => Values;
  readonly first: Values;
  /** Null if they can be used. */
  readonly whyUnusable: (values: Values) => string | null;
}

const problemsOf = new WeakMap<Config, () => readonly string[]>();

/**
 * What files have now and cannot be used, so that the last secrets and certificates are. Reads the files. While they are
 * replaced one after the other, there is a problem for a moment. Contains nothing of a secret.
 *
 * @param config as {@link followSecrets} got it, not a copy
 */
export function secretProblems(config: Config): readonly string[] {
  return problemsOf.get(config)?.() ?? [];
}

/** A function that tells the values as they are now, and the same ones until the caller has waited for something. */
function following(of: Following): () => Values {
  let known = of.first;
  let isFresh = false;
  return () => {
    if (isFresh) return known;
    known = changedValues(of, known) ?? known;
    isFresh = true;
    queueMicrotask(() => (isFresh = false));
    return known;
  };
}

/** Null if there is no change, nothing that stays for a moment, or nothing that can be used. */
function changedValues({ read, whyUnusable: why }: Following, known: Values): Values | null {
  let before = read();
  for (let reads = 1; reads < READS_MAX; reads++) {
    if (areEqual(before, known) || why(before) !== null) return null;
    // Who asks cannot wait otherwise. This is once for each change.
    pause(BETWEEN_READS_MS);
    const now = read();
    if (areEqual(before, now)) return now;
    before = now;
  }
  return null;
}

function isThere(value: string | null): boolean {
  return value !== null && value.trim() !== '';
}

function areEqual(one: Values, other: Values): boolean {
  return one.every((value, index) => value === other[index]);
}

/** Holds up the whole process. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function hasFile<T extends { readonly text: unknown }>(given: T): given is T & { readonly text: string } {
  return typeof given.text === 'string' && given.text.includes('${file:');
}

function ofText(key: string, value: unknown): [string, string][] {
  return typeof value === 'string' ? [[key, value]] : [];
}

function valueOf(section: unknown, key: string): unknown {
  return typeof section === 'object' && section !== null ? (section as Record<string, unknown>)[key] : undefined;
}
