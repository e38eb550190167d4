import type { Config } from '../config/config.js';
import { isLoopback } from '../lib/loopback.js';

/** What somebody may not expect who has set a token for /metrics. Null if nothing. */
export function openMetrics({ metricsToken, temporalListen }: Config['http']): string | null {
  if (metricsToken === null || temporalListen === null) return null;
  if (isLoopback(temporalListen.replace(/:\d+$/, ''))) return null;
  return `The Temporal SDK serves its metrics on ${temporalListen} without a login, although http.metricsToken is set: let http.temporalListen be a loopback address, or keep others from it by a firewall`;
}
