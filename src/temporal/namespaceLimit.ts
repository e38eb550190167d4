import type { NativeConnection } from '@temporalio/worker';
import type { Config, TemporalConfig } from '../config/config.js';
import { BATCH_BYTES_MAX, PAYLOAD_BYTES_MAX } from '../protocol/payloadLimit.js';
import type { Destination } from '../protocol/settings.js';

/**
 * The most bytes that one payload may have in this namespace (`limit.blobSize.error` of Temporal's dynamic
 * configuration). The default, 2 MiB, if the server is of a version that does not say.
 */
export async function readPayloadLimit(
  { workflowService }: NativeConnection,
  { namespace }: Pick<TemporalConfig, 'namespace'>,
): Promise<number> {
  const { namespaceInfo } = await workflowService.describeNamespace({ namespace });
  const limit = Number(namespaceInfo?.limits?.blobSizeLimitError ?? 0);
  return limit > 0 ? limit : PAYLOAD_BYTES_MAX;
}

/**
 * Adds a payload limit below the default to the settings of all pipelines. Batchers and lanes then make their payloads
 * smaller by the same factor. The limit is that of the namespace, or a smaller one if the pipeline's destination is so
 * large that it would not fit beside the chunks of a batch.
 */
export function withPayloadLimit(config: Config, payloadBytesMax: number): Config {
  if (payloadBytesMax >= PAYLOAD_BYTES_MAX) return config;
  const pipelines = config.pipelines.map((pipeline) => {
    const { settings } = pipeline;
    const limit = besideDestination(settings.destination, payloadBytesMax);
    return { ...pipeline, settings: { ...settings, batch: { ...settings.batch, payloadBytesMax: limit } } };
  });
  return { ...config, pipelines };
}

/**
 * The payload limit by which the chunks of a batch leave room for its destination. At least a quarter of the
 * namespace's, because a run carries more than batches. A destination for which that is not little enough hardly fits
 * into a signal.
 */
function besideDestination(destination: Destination, payloadBytesMax: number): number {
  const room = payloadBytesMax - Buffer.byteLength(JSON.stringify(destination)) - OTHERS_OF_BATCH_BYTES;
  const limit = Math.floor(room * (PAYLOAD_BYTES_MAX / BATCH_BYTES_MAX));
  return Math.min(payloadBytesMax, Math.max(limit, Math.floor(payloadBytesMax / 4)));
}

/** What a batch has beside chunks and destination, in bytes: 50 runs, and names. */
const OTHERS_OF_BATCH_BYTES = 4 * 1024;
