import { defineConfig } from 'vitest/config';

/**
 * Unit, property and workflow tests need nothing but the build; the other tests share a local stack, or start one of their own
 * where they break it. The long proofs run by `npm run test:chaos`, the tests of what is deployed (chart, image, containers), which need tools of their
 * own, by `npm run test:deploy`.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'test/unit/**/*.test.ts',
            'test/property/**/*.test.ts',
            'test/model/**/*.test.ts',
            'test/fuzz/**/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'workflow',
          include: ['test/workflow/**/*.test.ts', 'test/replay/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'stack',
          include: ['test/integration/**/*.test.ts', 'test/e2e/**/*.test.ts'],
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
          include: ['test/chaos/**/*.test.ts'],
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
          include: ['test/deploy/**/*.test.ts'],
          globalSetup: ['test/deploy/support/setUp.ts'],
          hookTimeout: 180_000,
          testTimeout: 60_000,
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          name: 'docker',
          include: ['test/docker/**/*.test.ts'],
          globalSetup: ['test/docker/support/setUp.ts'],
          maxWorkers: 1,
          testTimeout: 240_000,
          hookTimeout: 900_000,
          sequence: { groupOrder: 5 },
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          globalSetup: ['test/deploy/support/setUp.ts'],
          sequence: { groupOrder: 6 },
        },
      },
    ],
  },
});
