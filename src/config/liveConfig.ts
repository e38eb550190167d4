import { isDeepStrictEqual } from 'node:util';
import { pipelineConfigs, type Config, type PipelineConfig } from './config.js';
import { planChanges, type ChangePlan } from './liveSettings.js';
import type { LoadedConfig } from './load.js';
import type { ParsedConfig } from './schema.js';

/**
 * The configuration of a running daemon, and the only place that changes it. Changes are made in the pipelines' own objects,
 * which are handed to everybody at the start. They replace a value by another object, and never change the inside of one: who
 * holds the old value, such as a signal that is being sent, goes on with it.
 */
export class LiveConfig {
  readonly config: Config;
  #running: ParsedConfig;

  constructor({ config, parsed }: Pick<LoadedConfig, 'config' | 'parsed'>) {
    this.config = config;
    this.#running = parsed;
  }

  /**
   * What another configuration would change.
   *
   * @param kept pipelines that keep what they have for now
   */
  plan({ parsed }: Pick<LoadedConfig, 'parsed'>, kept: readonly string[] = []): ChangePlan {
    return planChanges(this.#running, parsed, kept);
  }

  /** The pipelines whose rows would get other columns, as they would be then. */
  remapped({ next, remapped }: ChangePlan): PipelineConfig[] {
    return pipelineConfigs(next).filter(({ name }) => remapped.includes(name));
  }

  /** From now on the configuration is as planned. What needs a restart stays. */
  take({ next }: ChangePlan): void {
    this.#running = next;
    this.config.log.level = next.log.level;
    const changed = new Map(pipelineConfigs(next).map((pipeline) => [pipeline.name, pipeline]));
    for (const pipeline of this.config.pipelines) {
      const { signal, settings } = changed.get(pipeline.name) ?? pipeline;
      if (!isDeepStrictEqual(pipeline.signal, signal)) pipeline.signal = signal;
      if (!isDeepStrictEqual(pipeline.settings, settings)) pipeline.settings = settings;
    }
  }
}
