import { readFileSync } from 'node:fs';
import { loadConfig } from '../config/load.js';
import { ConfigError } from '../config/problems.js';
import { configJsonSchema, configReference } from '../config/reference.js';

/**
 * `ktb config validate`: reports everything that is wrong with the file, without any connection. Exit code 2 if
 * something is wrong.
 */
export function validateConfig({ config: file, json }: { config: string; json: boolean }): void {
  try {
    const { pipelines } = loadConfig(file);
    const names = pipelines.map(({ name }) => name);
    console.log(
      json ? JSON.stringify({ valid: true, problems: [] }) : `${file} is valid; pipelines: ${names.join(', ')}`,
    );
  } catch (error) {
    if (!json || !(error instanceof ConfigError)) throw error;
    console.log(JSON.stringify({ valid: false, problems: error.problems }, null, 2));
    process.exitCode = 2;
  }
}

/** `ktb config schema`: prints the JSON Schema of the file, for editors. */
export function printSchema(): void {
  console.log(JSON.stringify(configJsonSchema(), null, 2));
}

/** `ktb config example`: prints a file to start from. */
export function printExample(): void {
  process.stdout.write(readFileSync(new URL('../../examples/ktb.yaml', import.meta.url), 'utf8'));
}

/** `ktb config docs`: prints every key with its default and purpose, in Markdown. */
export function printReference(): void {
  process.stdout.write(configReference());
}
