import { basename } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Test files that run at once in `npm test`. Those of `system` mostly wait, for timeouts of Kafka and Temporal: four keep two cores busy.
 * Vitest wants one number for all projects that run together.
 */
const AT_ONCE = 4;

/** These take longest, a minute and more, and mostly wait: begun last, one of them would run alone at the end. */
const LONGEST = [
  'system/outages',
  'system/kills',
  'system/topics',
  'system/telemetry',
  'system/docs',
  'system/installations',
  'system/continueAsNew',
  'system/startUp',
  'system/replies',
  'system/replays',
];

/** What waits begins first, longest first. What computes comes after it, in short files, and so all workers end together. */
const PROJECTS = ['system', 'workflow', 'simulation', 'unit'];

/**
 * Files run one after the other in the same processes: what they import, kafkajs and Temporal's client above all, is loaded four times, and
 * not once a file. So a file puts back what it changes of the process; spies are put back before each test.
 */
const IN_SHARED_PROCESSES = { isolate: false, restoreMocks: true };

/** The order of {@link PROJECTS} and {@link LONGEST}; among equals vitest's own, by the last run's times or the size. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => rank(a) - rank(b));
  }
}

function rank({ project, moduleId }: TestSpecification): number {
  const longest = LONGEST.indexOf(`${project.name}/${basename(moduleId, '.test.ts')}`);
  return longest === -1 ? LONGEST.length + PROJECTS.indexOf(project.name) : longest;
}

/**
 * One project a kind of test, as CONTRIBUTING.md lists them; what is shipped has three, since image and control plane need other set-ups.
 * `npm test` runs the first three kinds and `system`, all at the same time; the others, which take long or need tools of their own, run where
 * they are named, one after the other.
 */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...IN_SHARED_PROCESSES,
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          maxWorkers: AT_ONCE,
          testTimeout: 30_000,
        },
      },
      {
        test: {
          ...IN_SHARED_PROCESSES,
          name: 'simulation',
          include: ['test/simulation/*.test.ts'],
          maxWorkers: AT_ONCE,
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'workflow',
          include: ['test/workflow/*.test.ts'],
          maxWorkers: AT_ONCE,
          // More than `eventually` waits: so a failure says what it waited for.
          testTimeout: 90_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          ...IN_SHARED_PROCESSES,
          name: 'system',
          include: ['test/system/*.test.ts'],
          globalSetup: ['test/support/sharedStack.ts'],
          maxWorkers: AT_ONCE,
          // Of the tests of a file that may run beside others.
          maxConcurrency: 2,
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
