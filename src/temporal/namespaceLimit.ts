import type { ConnectionLike } from '@temporalio/client';
import type { Config, TemporalConfig } from '../config/config.js';
import { PAYLOAD_BYTES_MAX } from '../protocol/payloadLimit.js';

/**
 * The most bytes that one payload may have in this namespace (`limit.blobSize.error` of Temporal's dynamic
 * configuration). The default, 2 MiB, if the server is of a version that does not say.
 */
export async function readPayloadLimit(
  { workflowService }: Pick<ConnectionLike, 'workflowService'>,
  { namespace }: Pick<TemporalConfig, 'namespace'>,
): Promise<number> {
  const { namespaceInfo } = await workflowService.describeNamespace({ namespace });
  const limit = Number(namespaceInfo?.limits?.blobSizeLimitError ?? 0);
  return limit > 0 ? limit : PAYLOAD_BYTES_MAX;
}

/**
 * Adds a payload limit below the default to the settings of all pipelines. Batchers and lanes then make their payloads
 * smaller by the same factor.
 */
export function withPayloadLimit(config: Config, payloadBytesMax: number): Config {
  if (payloadBytesMax >= PAYLOAD_BYTES_MAX) return config;
  const pipelines = config.pipelines.map((pipeline) => {
    const { settings } = pipeline;
    return { ...pipeline, settings: { ...settings, batch: { ...settings.batch, payloadBytesMax } } };
  });
  return { ...config, pipelines };
}
