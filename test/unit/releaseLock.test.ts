import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const read = (file: string) => readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), 'utf8');

it('a release, which may publish, runs nothing of the registry that no lock file has', () => {
  expect(read('scripts/release.mjs')).not.toMatch(/'(?:npx|exec|install|i)'/);
  const { packages } = JSON.parse(read('scripts/sbom/package-lock.json')) as { packages: Record<string, object> };
  const { '': own, ...installed } = packages;
  expect(own).toMatchObject({ dependencies: { '@cyclonedx/cyclonedx-npm': expect.stringMatching(/^\d/) as string } });
  for (const [name, one] of Object.entries(installed)) {
    expect(one, name).toHaveProperty('integrity');
    expect(one, name).not.toHaveProperty('resolved');
  }
});
