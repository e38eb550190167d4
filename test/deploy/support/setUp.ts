import { reportProgress } from '../../../stack/progress.js';
import { ensureDeployTools } from './tools.js';

/** Vitest calls it once, before the tests of this folder. */
export default async function setUp(): Promise<void> {
  const reporter = reportProgress();
  try {
    await ensureDeployTools(reporter.onProgress);
  } finally {
    reporter.close();
  }
}
