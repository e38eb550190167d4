import { parse, stringify } from 'yaml';
import type { ConfigInput } from '../../src/config/schema.js';

/** One configuration with the pipelines of several. */
export function together(configs: readonly string[], more: Partial<ConfigInput> = {}): string {
  const [first, ...others] = configs.map((text) => parse(text) as ConfigInput);
  const pipelines = Object.assign({}, first?.pipelines, ...others.map((config) => config.pipelines)) as object;
  return stringify({ ...first, ...more, pipelines });
}
