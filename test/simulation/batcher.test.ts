import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MODEL_SEED, modelSteps } from './cases.js';
import { PARTITIONS } from './batcher/topic.js';
import {
  CONFIGURATIONS,
  SENDERS,
  SITUATIONS,
  World,
  type AttemptFate,
  type Event,
  type SignalFate,
  type Situation,
  type Step,
} from './batcher/world.js';

const STEPS_WANTED = modelSteps(40_000);
const CASES_A_ROUND = 200;
/** A round takes seconds; to shorten a failing case may take for ever. */
const SHRINK_TIME_MAX_MS = 45_000;

const EVENT_WEIGHTS: Readonly<Record<Event['type'], number>> = {
  send: 30,
  submit: 6,
  deliver: 3,
  assign: 8,
  rewind: 1,
  control: 3,
  attempt: 25,
  lateInsert: 3,
  alter: 1,
  advance: 8,
  suggestContinueAsNew: 3,
  outgrow: 1,
  terminate: 4,
  startHeir: 4,
};

/** What is common in the cases of a kind. */
interface Kind {
  readonly weights?: Partial<typeof EVENT_WEIGHTS>;
  readonly partitions?: readonly number[];
  readonly padding?: readonly number[];
  readonly configurations?: readonly number[];
  readonly senders?: number;
  readonly steps?: number;
}

const ALL_PARTITIONS = Array.from({ length: PARTITIONS }, (_, partition) => partition);
const ALL_CONFIGURATIONS = CONFIGURATIONS.map((_, configuration) => configuration);
const index = fc.nat(7);
const type = <T extends Event['type']>(name: T) => fc.constant(name);
const mostly = <T>(common: T, rare: fc.Arbitrary<T>, weight: number) =>
  fc.oneof({ weight, arbitrary: fc.constant(common) }, { weight: 1, arbitrary: rare });

/** A list of steps, of which fast-check leaves out what a failure does not need. */
function steps(kind: Kind) {
  const { weights = {}, partitions = ALL_PARTITIONS, padding = [0], senders = SENDERS, steps: maxLength = 250 } = kind;
  const { configurations = ALL_CONFIGURATIONS } = kind;
  const sender = fc.nat(senders - 1);
  const partition = fc.constantFrom(...partitions);
  const events: { readonly [Name in Event['type']]: fc.Arbitrary<Extract<Event, { type: Name }>> } = {
    send: fc.record({
      type: type('send'),
      sender,
      lengths: fc.array(fc.nat(8), { minLength: 1, maxLength: PARTITIONS }),
      padding: fc.constantFrom(...padding),
      fate: mostly<SignalFate>('accepted', fc.constantFrom('unknown', 'lost', 'delayed'), 2),
    }),
    submit: fc.record({
      type: type('submit'),
      requester: fc.constantFrom('w1', 'w2'),
      id: fc.nat(60),
      fate: mostly<SignalFate>('accepted', fc.constantFrom('unknown', 'lost'), 2),
    }),
    deliver: fc.record({ type: type('deliver'), index }),
    assign: fc.record({
      type: type('assign'),
      sender,
      partitions: fc.uniqueArray(partition, { minLength: 1, maxLength: PARTITIONS }),
      behind: mostly(0, fc.nat(12), 1),
      configuration: fc.constantFrom(...configurations),
    }),
    rewind: fc.record({ type: type('rewind'), partition, back: fc.nat(20) }),
    control: fc.record({
      type: type('control'),
      action: fc.constantFrom('pause', 'resume', 'resume', 'flush', 'flush', 'drain', 'park', 'park'),
      times: mostly(1, fc.integer({ min: 2, max: 25 }), 15),
    }),
    attempt: fc.record({
      type: type('attempt'),
      fate: mostly<AttemptFate>('answers', fc.constantFrom('lost', 'late', 'half', 'unheard', 'failed'), 1),
    }),
    lateInsert: fc.record({ type: type('lateInsert'), index }),
    alter: fc.record({ type: type('alter') }),
    advance: fc.record({ type: type('advance'), ms: fc.nat(800) }),
    suggestContinueAsNew: fc.record({ type: type('suggestContinueAsNew'), runs: mostly(1, fc.constant(15), 3) }),
    outgrow: fc.record({ type: type('outgrow') }),
    terminate: fc.record({ type: type('terminate') }),
    startHeir: fc.record({ type: type('startHeir'), behind: mostly(0, fc.nat(3), 2) }),
  };
  const event = fc.oneof(
    ...Object.entries<fc.Arbitrary<Event>>(events).map(([name, arbitrary]) => {
      return { weight: { ...EVENT_WEIGHTS, ...weights }[name as Event['type']], arbitrary };
    }),
  );
  const step: fc.Arbitrary<Step> = fc.record({ event, task: mostly(true, fc.constant(false), 3) });
  return fc.array(step, { maxLength, size: 'max' });
}

const anySteps = fc.oneof(
  { weight: 12, arbitrary: steps({}) },
  {
    weight: 2,
    arbitrary: steps({ weights: { rewind: 50, assign: 50, send: 50 }, partitions: [1], senders: 1, steps: 400 }),
  },
  // The partition of which few offsets belong to the batcher: restart after restart leaves holes.
  {
    weight: 2,
    arbitrary: steps({ weights: { assign: 80, send: 80, rewind: 0 }, partitions: [2], senders: 1, steps: 600 }),
  },
  // Buffers that grow large before a flush takes them.
  {
    weight: 3,
    arbitrary: steps({
      padding: [200_000],
      weights: { send: 60, attempt: 10, advance: 2, suggestContinueAsNew: 8, outgrow: 4 },
      configurations: [3],
      senders: 1,
      steps: 120,
    }),
  },
);

/**
 * `KTB_MODEL_STEPS=1000000` for the long run. A failure prints fast-check's seed, which `KTB_MODEL_SEED` takes, and the
 * shortest list of steps that still fails.
 */
it(
  'each accepted record gets a row or is rejected, once, in order, whenever its runs are closed and whatever is lost, late or repeated',
  async () => {
    let done = 0;
    let cases = 0;
    const met = new Map<Situation, number>(SITUATIONS.map((situation) => [situation, 0]));
    for (let round = 0; done < STEPS_WANTED; round++) {
      await fc.assert(
        fc.asyncProperty(anySteps, async (list) => {
          const world = new World((situation) => met.set(situation, met.get(situation)! + 1));
          for (const one of list) await world.apply(one);
          await world.settle();
          done += list.length;
          cases++;
        }),
        { seed: MODEL_SEED + round, numRuns: CASES_A_ROUND, interruptAfterTimeLimit: SHRINK_TIME_MAX_MS },
      );
    }
    console.log(`batcher model: ${done} steps in ${cases} cases, seed ${MODEL_SEED}`);
    expect([...met].filter(([, times]) => times === 0)).toEqual([]);
    expect(done).toBeGreaterThanOrEqual(STEPS_WANTED);
  },
  60_000 + STEPS_WANTED * 5,
);
