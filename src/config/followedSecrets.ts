import type { Config } from './config.js';

/** The secrets that may change while the daemon runs, by their keys in the file. */
const FOLLOWED = [
  ['kafka', 'sasl', 'password'],
  ['kafka', 'sasl', 'clientSecret'],
  ['http', 'metricsToken'],
] as const;

/**
 * Makes the configuration tell a secret that the file takes from `${file:…}` as it is in that file now, each time that
 * it is asked for. If the file is gone or empty, the secret stays what it was: files are often replaced in two steps.
 *
 * @param raw the configuration file before its references are replaced
 * @param resolve replaces the references in a text. Null if one cannot be
 */
export function followSecrets(config: Config, raw: unknown, resolve: (text: string) => string | null): void {
  for (const path of FOLLOWED) {
    const text = path.reduce(valueOf, raw);
    const section = path.slice(0, -1).reduce(valueOf, config);
    if (typeof text !== 'string' || !text.includes('${file:') || typeof section !== 'object' || section === null)
      continue;
    const key = path[path.length - 1] ?? '';
    let known = valueOf(section, key);
    Object.defineProperty(section, key, {
      enumerable: true,
      get: () => {
        const now = resolve(text);
        if (now !== null && now !== '') known = now;
        return known;
      },
    });
  }
}

function valueOf(section: unknown, key: string): unknown {
  return typeof section === 'object' && section !== null ? (section as Record<string, unknown>)[key] : undefined;
}
