import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** Writes a configuration whose parts nobody can reach, with a pipeline `orders`. It is removed after the file's tests. */
export function unreachableConfig(topics: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'ktb-config-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'ktb.yaml');
  writeFileSync(
    config,
    `kafka: { brokers: ['127.0.0.1:1'] }
temporal: { address: '127.0.0.1:1' }
clickhouse: { url: 'http://127.0.0.1:1' }
pipelines: { orders: { topics: [${topics.join(', ')}], table: orders } }
`,
  );
  return config;
}
