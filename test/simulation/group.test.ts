import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MODEL_SEED, modelSteps } from './cases.js';
import { GroupModel, type GroupStep } from './group/groupModel.js';

/** `KTB_MODEL_STEPS=1000000` for the long run. */
const STEPS = modelSteps(40_000);
const STEPS_A_RUN = 100;

const small = fc.nat(7);
const step: fc.Arbitrary<GroupStep> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('produce' as const), partition: small, records: small }) },
  {
    weight: 12,
    arbitrary: fc.record({ type: fc.constant('fetch' as const), member: small, partition: small, records: small }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      type: fc.constant('send' as const),
      member: small,
      lane: small,
      records: small,
      answer: fc.constantFrom('ok', 'ok', 'ok', 'answer lost', 'never arrived'),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('commit' as const),
      member: small,
      answer: fc.constantFrom('ok', 'ok', 'answer lost', 'never arrived'),
    }),
  },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('flush' as const), batcher: small, fails: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('continueAsNew' as const), batcher: small }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('rebalance' as const),
      owners: fc.array(small, { minLength: 2, maxLength: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('notice' as const), member: small }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('restart' as const), member: small, layout: small }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('progress' as const),
      member: small,
      late: fc.array(small, { maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('loseOffsets' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('rewind' as const), to: small, again: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('loseBatchers' as const) }) },
);

it('members, zombies, unknown outcomes, layouts, lost offsets and rewinds: nothing lost, nothing twice, nothing committed too early', async () => {
  let steps = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: STEPS_A_RUN, size: 'max' }), async (run) => {
      const model = new GroupModel();
      for (const next of run) await model.take(next);
      await model.settle();
      model.check();
      steps += run.length;
    }),
    { seed: MODEL_SEED, numRuns: Math.ceil(STEPS / (STEPS_A_RUN / 2)) },
  );
  console.log(`${steps} steps, seed ${MODEL_SEED}`);
  expect(steps).toBeGreaterThan(STEPS / 2);
}, 3_600_000);
