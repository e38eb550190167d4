import { expect, it } from 'vitest';
import type { Config } from '../../../src/config/config.js';
import { openMetrics } from '../../../src/daemon/openMetrics.js';

const warning = (metricsToken: string | null, temporalListen: string | null) =>
  openMetrics({ host: '', port: 9464, metricsToken, temporalListen } satisfies Config['http']);

it('who wants a token for metrics is told of those of the SDK that have none, and others can reach', () => {
  for (const open of ['0.0.0.0:9465', '10.1.2.3:9465', '[::]:9465'])
    expect(warning('secret', open)).toContain(`on ${open} without a login`);
  for (const inner of ['127.0.0.1:9465', '[::1]:9465', null]) expect(warning('secret', inner)).toBeNull();
  expect(warning(null, '0.0.0.0:9465')).toBeNull();
});
