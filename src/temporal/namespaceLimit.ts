import type { ConnectionLike } from '@temporalio/client';
import type { TemporalConfig } from '../config/config.js';
import { PAYLOAD_BYTES_MAX } from '../protocol/payloadLimit.js';
import type { BatcherSettings } from '../protocol/settings.js';

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
 * Adds a payload limit below the default to the settings of a pipeline. Batchers and lanes then make their payloads smaller by
 * the same factor.
 */
export function withPayloadLimit(settings: BatcherSettings, payloadBytesMax: number): BatcherSettings {
  if (payloadBytesMax >= PAYLOAD_BYTES_MAX) return settings;
  return { ...settings, batch: { ...settings.batch, payloadBytesMax } };
}
