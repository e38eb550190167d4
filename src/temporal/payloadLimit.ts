import type { NativeConnection } from '@temporalio/worker';
import type { Config, TemporalConfig } from '../config/config.js';
import { PAYLOAD_BYTES_MAX } from '../protocol/payloadLimit.js';

/**
 * What the namespace says of the size of one payload (`limit.blobSize.error` of Temporal's dynamic configuration), in bytes;
 * the default where the server is of a version that does not say it.
 */
export async function readPayloadLimit(
  { workflowService }: NativeConnection,
  { namespace }: Pick<TemporalConfig, 'namespace'>,
): Promise<number> {
  const { namespaceInfo } = await workflowService.describeNamespace({ namespace });
  const limit = Number(namespaceInfo?.limits?.blobSizeLimitError ?? 0);
  return limit > 0 ? limit : PAYLOAD_BYTES_MAX;
}

/** Tells batchers and lanes of a limit below the default: what they put into one payload is smaller in the same measure. */
export function withPayloadLimit(config: Config, payloadBytesMax: number): Config {
  if (payloadBytesMax >= PAYLOAD_BYTES_MAX) return config;
  const pipelines = config.pipelines.map((pipeline) => {
    const { settings } = pipeline;
    return { ...pipeline, settings: { ...settings, batch: { ...settings.batch, payloadBytesMax } } };
  });
  return { ...config, pipelines };
}
