import { expect, it } from 'vitest';
import { MissingKeyError } from '../../../src/codecs/payloadCipher.js';
import { reportMissingKeys } from '../../../src/daemon/missingKeys.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';

it('counts by key, and lets nobody who can name keys make more than some twenty series', async () => {
  const metrics = createMetrics({ runtime: false });
  const problems: string[] = [];
  const report = reportMissingKeys(metrics, { problem: (what, message) => void problems.push(`${what}: ${message}`) });
  for (let key = 0; key < 100; key++) report(new MissingKeyError(`k${key}:00000000`, false));
  report(new MissingKeyError('k0:00000000', false));
  const { values } = await metrics.missingKeys.get();
  expect(values).toHaveLength(21);
  expect(values.find(({ labels }) => labels.key === 'k0:00000000')?.value).toBe(2);
  expect(values.find(({ labels }) => labels.key === '(others)')?.value).toBe(80);
  expect(problems[0]).toMatch(/^encryption key k0:00000000: What needs it waits: a payload is encrypted with key k0/);
});
