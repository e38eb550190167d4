import fc from 'fast-check';

/** Cases of each fuzz test. `KTB_FUZZ_CASES=20000` is the long run. */
const CASES = Number(process.env['KTB_FUZZ_CASES'] ?? 300);
/** `KTB_FUZZ_SEED` takes the seed that a failure prints. */
const SEED = Number(process.env['KTB_FUZZ_SEED'] ?? Date.now() % 2 ** 31);

/** `KTB_MODEL_SEED` takes the seed that a failure of a model prints. */
export const MODEL_SEED = Number(process.env['KTB_MODEL_SEED'] ?? Date.now() % 2 ** 31);

/** Steps of a model in all. `KTB_MODEL_STEPS` is the long run. */
export function modelSteps(usual: number): number {
  return Number(process.env['KTB_MODEL_STEPS'] ?? usual);
}

/** Long enough for the long run. */
export const FUZZ_TIMEOUT_MS = 60_000 + CASES * 30;

/** Holds a property against many inputs. A failure prints the seed and the smallest input that still fails. */
export async function fuzz<T>(arbitrary: fc.Arbitrary<T>, holds: (input: T) => void | Promise<void>): Promise<void> {
  const property = fc.asyncProperty(arbitrary, async (input) => holds(input));
  await fc.assert(property, { seed: SEED, numRuns: CASES });
}
