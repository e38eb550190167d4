import type { TestProject } from 'vitest/node';
import { Watchdog } from '../../../../stack/processes.js';
import { Progress, reportProgress } from '../../../../stack/progress.js';
import { importBaseImages, type BaseImages } from './baseImage.js';
import { dockerClient } from './dockerClient.js';
import { useEngine } from './engine.js';

/** What the tests of this folder are given. */
export interface ProvidedEngine {
  /** See {@link Engine.environment}. */
  readonly environment: Readonly<Record<string, string>>;
  /** Undefined where the engine can pull the official images. */
  readonly baseImages: BaseImages | undefined;
}

declare module 'vitest' {
  export interface ProvidedContext {
    engine: ProvidedEngine;
  }
}

/** Vitest calls it once, before the tests of this folder, and what it returns after them. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const watchdog = new Watchdog();
  const reporter = reportProgress();
  const progress = new Progress(reporter.onProgress);
  try {
    const engine = await useEngine({ progress, watchdog });
    const tearDown = async (): Promise<void> => {
      await engine.stop().finally(() => watchdog.close());
    };
    try {
      const docker = dockerClient({ ...process.env, ...engine.environment });
      const baseImages = engine.started ? await importBaseImages(docker, { progress, watchdog }) : undefined;
      project.provide('engine', { environment: engine.environment, baseImages });
      return tearDown;
    } catch (error) {
      await tearDown();
      throw error;
    }
  } catch (error) {
    await watchdog.close();
    throw error;
  } finally {
    reporter.close();
  }
}
