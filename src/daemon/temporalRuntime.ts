import type { RuntimeOptions } from '@temporalio/worker';
import { DefaultLogger } from '@temporalio/worker/lib/logger.js';
import { Runtime } from '@temporalio/worker/lib/runtime.js';
import { listenError } from '../lib/listening.js';
import type { Logger } from '../telemetry/logging.js';
import { temporalLog } from '../telemetry/temporalLog.js';

/** Metric names as Prometheus wants them: `temporal_request_latency_seconds`, `temporal_request_total`. */
const SDK_METRIC_NAMES = { countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true };

/**
 * Makes the SDK log through the daemon's logger, and not react to the process's signals.
 *
 * @throws Error if the address for metrics cannot be used
 */
export function installTemporalRuntime(logger: Logger, bindAddress: string | null): void {
  const options: RuntimeOptions = {
    shutdownSignals: [],
    logger: new DefaultLogger('WARN', temporalLog(logger)),
    telemetryOptions: {
      logging: { filter: { core: 'ERROR', other: 'ERROR' } },
      ...(bindAddress === null ? {} : { metrics: { prometheus: { bindAddress, ...SDK_METRIC_NAMES } } }),
    },
  };
  try {
    Runtime.install(options);
  } catch (error) {
    if (bindAddress === null) throw error;
    throw listenError(error, 'http.temporalListen', bindAddress);
  }
}
