import { defineConfig } from 'vitest/config';

/**
 * One project a kind of test, as CONTRIBUTING.md lists them; what is deployed has three, since image and control plane need other set-ups.
 * `npm test` runs the first three kinds and `system`; the others, which take long or need tools of their own, run where they are named.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { test: { name: 'simulation', include: ['test/simulation/*.test.ts'] } },
      {
        test: {
          name: 'workflow',
          include: ['test/workflow/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/system/*.test.ts'],
          globalSetup: ['test/support/sharedStack.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
          testTimeout: 240_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'chaos',
          include: ['test/chaos/*.test.ts'],
          // Three brokers, members that freeze, hundreds of megabytes: one at a time.
          maxWorkers: 1,
          testTimeout: 240_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: 'deploy',
          include: ['test/deploy/*.test.ts'],
          globalSetup: ['test/deploy/support/setUp.ts'],
          hookTimeout: 180_000,
          testTimeout: 60_000,
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          name: 'docker',
          include: ['test/deploy/docker/*.test.ts'],
          globalSetup: ['test/deploy/docker/support/setUp.ts'],
          maxWorkers: 1,
          testTimeout: 240_000,
          hookTimeout: 900_000,
          sequence: { groupOrder: 5 },
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/deploy/cluster/*.test.ts'],
          globalSetup: ['test/deploy/support/setUp.ts'],
          sequence: { groupOrder: 6 },
        },
      },
    ],
  },
});
