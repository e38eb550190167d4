import type { Config } from './config.js';

/** What may change while the daemon runs, by its section and keys in the file. Keys of one line belong together. */
const FOLLOWED = [
  { section: ['kafka', 'sasl'], keys: ['username', 'password'] },
  { section: ['kafka', 'sasl'], keys: ['clientId', 'clientSecret'] },
  { section: ['http'], keys: ['metricsToken'] },
  { section: ['schemaRegistry'], keys: ['username', 'password'] },
  { section: ['schemaRegistry'], keys: ['token'] },
] as const;

/** A file may be half written. So a change counts if it is read twice, with this time between. */
const BETWEEN_READS_MS = 100;
const READS_MAX = 5;

/** The values of keys that belong together, in the order of the keys. */
type Values = readonly (string | null)[];

/**
 * Makes the configuration tell a secret that the file takes from `${file:…}` as it is in that file now, each time that
 * it is asked for, and its user with it. If a file is gone or blank, all stays what it was: files are often replaced in
 * two steps. Who asks for user and secret without waiting in between gets two that were read together.
 *
 * @param raw the configuration file before its references are replaced
 * @param resolve replaces the references in a text. Null if one cannot be
 */
export function followSecrets(config: Config, raw: unknown, resolve: (text: string) => string | null): void {
  for (const { section: path, keys } of FOLLOWED) {
    const section = path.reduce<unknown>(valueOf, config);
    if (typeof section !== 'object' || section === null) continue;
    const given = path.reduce<unknown>(valueOf, raw);
    const texts = keys.map((key) => ({ key, text: valueOf(given, key) })).filter(hasFile);
    const follow = following(
      () => texts.map(({ text }) => resolve(text)),
      texts.map(({ key }) => valueOf(section, key) as string),
    );
    for (const [index, { key }] of texts.entries())
      Object.defineProperty(section, key, { enumerable: true, get: () => follow()[index] });
  }
}

/** A function that tells the values as they are now, and the same ones until the caller has waited for something. */
function following(read: () => Values, first: Values): () => Values {
  let known = first;
  let isFresh = false;
  return () => {
    if (isFresh) return known;
    known = changedValues(read, known) ?? known;
    isFresh = true;
    queueMicrotask(() => (isFresh = false));
    return known;
  };
}

/** Null if there is no change, or nothing that stays for a moment. */
function changedValues(read: () => Values, known: Values): Values | null {
  let before = read();
  for (let reads = 1; reads < READS_MAX; reads++) {
    if (!before.every(isThere) || areEqual(before, known)) return null;
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

function valueOf(section: unknown, key: string): unknown {
  return typeof section === 'object' && section !== null ? (section as Record<string, unknown>)[key] : undefined;
}
