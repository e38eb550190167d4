import { loadClientConnectConfig } from '@temporalio/envconfig';
import { certificateProblems } from './certificates.js';
import { encryptionOf, toConfig, type Config, type EncryptionConfig, type TemporalEnvironment } from './config.js';
import { followSecrets, withoutFollowed } from './followedSecrets.js';
import { messageOf } from '../lib/messageOf.js';
import type { ConfigProblem } from './configProblem.js';
import { checkConfig, ConfigError } from './problems.js';
import { temporal as temporalSchema } from './connectionSchemas.js';
import type { ParsedConfig } from './schema.js';
import { lookAt, readAgain, readFirst, whyUnreadable, type ReadText } from './textFiles.js';
import { parseYaml } from './yamlFile.js';

/**
 * Reads and checks a configuration file. `${VARIABLE}` and `${file:/path}` in its texts are replaced. `$${` means a
 * literal `${`.
 *
 * @throws ConfigError with everything that is wrong
 */
export function loadConfig(file: string, environment: NodeJS.ProcessEnv = process.env): Config {
  return parseConfig(readConfig(file), file, environment);
}

/** What a load reads with. */
interface Reading {
  readonly environment: NodeJS.ProcessEnv;
  /** Reads files of secrets. */
  readonly read: ReadText;
}

/** A configuration with what it was made of, to compare it with a later one. */
export interface LoadedConfig {
  readonly config: Config;
  /** The whole text of the file. */
  readonly text: string;
  /** Secrets that the daemon follows by itself are only references, see {@link withoutFollowed}. */
  readonly parsed: ParsedConfig;
}

/**
 * Like {@link loadConfig}, for a file that may change.
 *
 * @param text what {@link readConfig} has read of it
 * @param read reads files of secrets: {@link readAgain} once the daemon runs
 * @throws ConfigError with everything that is wrong
 */
export function parseComparable(
  text: string,
  file: string,
  environment: NodeJS.ProcessEnv = process.env,
  read: ReadText = readFirst,
): LoadedConfig {
  const { config, parsed, raw } = parse(text, file, { environment, read });
  return { config, text, parsed: withoutFollowed(parsed, raw) };
}

/**
 * Reads nothing of a configuration file but `temporal.encryption`: whatever else is in it may be wrong, or name secrets that
 * are not here.
 *
 * @throws ConfigError
 */
export function loadEncryption(file: string): EncryptionConfig {
  const { raw: all } = parseYaml(readConfig(file), file);
  const raw = all as { readonly temporal?: { readonly encryption?: unknown } } | null;
  const path = ['temporal', 'encryption'];
  const problems: ConfigProblem[] = [];
  const references = { environment: process.env, read: readFirst };
  const resolved = resolveReferences(raw?.temporal?.encryption, path, references, problems);
  const checked = temporalSchema.shape.encryption.safeParse(resolved);
  if (problems.length === 0 && checked.success) return encryptionOf(checked.data);
  const issues = problems.length > 0 ? [] : (checked.error?.issues ?? []);
  const found = issues.map((issue) => ({ path: [...path, ...issue.path.map(String)], message: issue.message }));
  throw new ConfigError(file, [...problems, ...found]);
}

/** @throws ConfigError */
export function readConfig(file: string): string {
  try {
    return readFirst(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

/**
 * Like {@link readConfig}, while the daemon runs, for a regular file. It does not hold up the process.
 *
 * @throws ConfigError
 */
export async function readConfigAgain(file: string): Promise<string> {
  try {
    return await lookAt(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): ConfigError {
  return new ConfigError(file, [{ path: [], message: `the configuration file ${file} ${whyUnreadable(error)}` }]);
}

/** Like {@link loadConfig}, for a text. `file` is its name in messages. */
export function parseConfig(text: string, file: string, environment: NodeJS.ProcessEnv): Config {
  return parse(text, file, { environment, read: readFirst }).config;
}

function parse(
  text: string,
  file: string,
  reading: Reading,
): { readonly config: Config; readonly parsed: ParsedConfig; readonly raw: unknown } {
  const { raw, lineOf } = parseYaml(text, file);
  const problems: ConfigProblem[] = [];
  const resolved = resolveReferences(raw, [], reading, problems);
  const checked = checkConfig(resolved);
  const parts = checked.ok ? checked.parsed : checked.parts;
  const variables = temporalEnvironment(reading.environment, parts.temporal);
  const found = [...(checked.ok ? [] : checked.problems), ...certificateProblems(parts), ...variables.problems];
  if (problems.length > 0 || !checked.ok || found.length > 0) {
    const unresolved = new Set(problems.map(({ path }) => path.join('\n')));
    const others = found.filter(({ path }) => !unresolved.has(path.join('\n')));
    throw new ConfigError(file, [...problems, ...others], lineOf);
  }
  const config = toConfig(checked.parsed, variables.settings);
  followSecrets(config, raw, (secret) => {
    const lacking: ConfigProblem[] = [];
    const now = resolveReferences(secret, [], { ...reading, read: readAgain }, lacking) as string;
    return lacking.length === 0 ? now : null;
  });
  return { config, parsed: checked.parsed, raw };
}

/** Replaces the references in every text of a parsed file. */
function resolveReferences(
  value: unknown,
  path: ConfigProblem['path'],
  reading: Reading,
  problems: ConfigProblem[],
): unknown {
  const { environment, read } = reading;
  if (typeof value === 'string') {
    return value.replace(/\$\$\{|\$\{(file:)?([^}]*)\}/g, (match, isFile: string | undefined, name: string) => {
      if (match === '$${') return '${';
      const complain = (message: string): string => {
        problems.push({ path, message });
        return '';
      };
      if (isFile !== undefined) return readSecret(name, read, complain);
      const text = Object.hasOwn(environment, name) ? environment[name] : undefined;
      if (text !== undefined) return text;
      const isReference = match === value && VARIABLE.test(name);
      if (!isReference && mayBeSecret(path, value)) return complain(BRACES_OR_VARIABLE);
      return complain(`names the environment variable ${name}, which is not set`);
    });
  }
  if (Array.isArray(value))
    return value.map((item, index) => resolveReferences(item, [...path, index], reading, problems));
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => [
      key,
      resolveReferences(item, [...path, key], reading, problems),
    ]);
    return Object.fromEntries(entries) as unknown;
  }
  return value;
}

/** The usual name of a variable. A secret that happens to have braces around it has mostly other signs, too. */
const VARIABLE = /^[A-Za-z_]\w*$/;

const BRACES_OR_VARIABLE =
  'has ${…} with the name of an environment variable that is not set; for a text with braces of its own, such as a password, write $${ instead of ${';

/** Keys outside of pipelines whose values are secrets. */
const SECRET_KEYS: ReadonlySet<unknown> = new Set(
  'password clientSecret apiKey token accessToken metricsToken key keys'.split(' '),
);

/** Whether a text may be, or hold, a secret that somebody has written out. What is between its braces may be a part of it. */
function mayBeSecret([section, ...keys]: ConfigProblem['path'], text: string): boolean {
  return section !== 'pipelines' && (keys.some((key) => SECRET_KEYS.has(key)) || text.includes('@'));
}

function readSecret(file: string, read: ReadText, complain: (message: string) => string): string {
  try {
    return read(file).replace(/\r?\n$/, '');
  } catch (error) {
    return complain(`the secret file ${file} ${whyUnreadable(error)}`);
  }
}

/**
 * Reads Temporal's environment variables: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_TLS_*`,
 * `TEMPORAL_API_KEY`. A file with profiles is read only if `TEMPORAL_CONFIG_FILE` or `TEMPORAL_PROFILE` is set: a
 * person's own profile must not decide where a key goes. An empty variable counts as none.
 *
 * @param file what the configuration says: a variable that it replaces is not checked
 */
function temporalEnvironment(
  environment: NodeJS.ProcessEnv,
  file: ParsedConfig['temporal'],
): { readonly settings: TemporalEnvironment; readonly problems: readonly ConfigProblem[] } {
  const variables = Object.fromEntries(
    Object.entries(environment).filter(([name, value]) => value !== undefined && !(isTemporals(name) && value === '')),
  ) as Record<string, string>;
  const { TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE, TEMPORAL_ADDRESS } = variables;
  const disableFile = TEMPORAL_CONFIG_FILE === undefined && TEMPORAL_PROFILE === undefined;
  const complain = (name: string | undefined, message: string) => ({
    settings: {},
    problems: [{ path: [], message: `${name ?? "Temporal's environment variables"}: ${message}` }],
  });
  try {
    const { connectionOptions, namespace } = loadClientConnectConfig({ overrideEnvVars: variables, disableFile });
    const { address, tls, apiKey } = connectionOptions;
    const checked = temporalSchema.shape.address.safeParse(file.address ?? address);
    if (!checked.success)
      return complain(
        TEMPORAL_ADDRESS === undefined ? undefined : 'TEMPORAL_ADDRESS',
        checked.error.issues[0]?.message ?? '',
      );
    const settings = {
      ...(address === undefined ? {} : { address }),
      ...(namespace === undefined ? {} : { namespace }),
      ...(typeof apiKey === 'string' ? { apiKey } : {}),
      ...(tls === undefined || tls === null ? {} : { tls: typeof tls === 'boolean' ? tls : toTlsConfig(tls) }),
    };
    return { settings, problems: [] };
  } catch (error) {
    const { path } = error as NodeJS.ErrnoException;
    const [name] = Object.entries(variables).find(([key, value]) => isTemporals(key) && value === path) ?? [];
    return isTomlError(error) ? complain('TEMPORAL_CONFIG_FILE', unquoted(error)) : complain(name, messageOf(error));
  }
}

/** An error of smol-toml, which envconfig reads files of profiles with. Its message quotes lines of the file, and so secrets. */
interface TomlError extends Error {
  readonly codeblock: string;
  readonly line: number;
  readonly column: number;
}

function isTomlError(error: unknown): error is TomlError {
  return error instanceof Error && 'codeblock' in error;
}

function unquoted({ message, line, column }: TomlError): string {
  return `${message.split('\n')[0]} at line ${line}, column ${column} of the file with profiles`;
}

function isTemporals(variable: string): boolean {
  return variable.startsWith('TEMPORAL_');
}

function toTlsConfig(tls: {
  serverNameOverride?: string;
  serverRootCACertificate?: Buffer | Uint8Array;
  clientCertPair?: { crt: Buffer | Uint8Array; key: Buffer | Uint8Array };
}): NonNullable<TemporalEnvironment['tls']> {
  const pem = (bytes: Uint8Array | undefined): string | undefined =>
    bytes === undefined ? undefined : Buffer.from(bytes).toString();
  return {
    ca: pem(tls.serverRootCACertificate),
    cert: pem(tls.clientCertPair?.crt),
    key: pem(tls.clientCertPair?.key),
    serverName: tls.serverNameOverride,
  };
}
