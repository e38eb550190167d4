import { happen, inWords, type End, type Step } from './story.js';
import type { Setting } from './world.js';

/** Stories that are tried, at most, to find a shorter one. */
const TRIES_MAX = 1_500;

/**
 * Leaves out of a story what it does not need to fail: halves, quarters and so on, then single steps, until none can be
 * left out any more, and then makes what is left smaller.
 */
async function shrink(
  steps: readonly Step[],
  fails: (steps: readonly Step[]) => Promise<boolean>,
): Promise<readonly Step[]> {
  let tries = 0;
  let shortest = steps;
  const tried = async (candidate: readonly Step[]): Promise<boolean> => {
    if (tries++ >= TRIES_MAX || !(await fails(candidate))) return false;
    shortest = candidate;
    return true;
  };
  for (let hasShrunk = true; hasShrunk && tries < TRIES_MAX;) {
    hasShrunk = false;
    for (let size = Math.ceil(shortest.length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < shortest.length;) {
        if (await tried([...shortest.slice(0, from), ...shortest.slice(from + size)])) hasShrunk = true;
        else from += size;
      }
    }
    for (let index = 0; index < shortest.length; index++)
      for (const smaller of smallerThan(shortest[index]!))
        if (await tried(shortest.with(index, smaller))) {
          hasShrunk = true;
          break;
        }
  }
  return shortest;
}

function* smallerThan(step: Step): Generator<Step> {
  if (step.type === 'cut') {
    if (step.kinds.length > 0) yield { ...step, kinds: [] };
    if (step.records > 1) yield { ...step, records: 1 };
    if (step.records > 2) yield { ...step, records: step.records - 1 };
  }
  if ('kinds' in step) {
    if (step.kinds.length > 1) yield { ...step, kinds: step.kinds.slice(0, 1) };
    if (step.kinds.length > 1) yield { ...step, kinds: step.kinds.slice(1) };
    if (step.kinds.some((kind) => kind !== 'good')) yield { ...step, kinds: step.kinds.map(() => 'good') };
  }
  if ('ms' in step && step.ms > 50) {
    yield { ...step, ms: 50 };
    if (step.ms > 1_000) yield { ...step, ms: 1_000 };
  }
}

/** The shortest story that breaks the same rule, told from its beginning to its end, in lines. */
export async function tellShortest(steps: readonly Step[], seed: number, setting: Setting, end: End): Promise<string> {
  const rule = ruleOf(end.violation);
  const failsIn = (settleMaxMs: number) => async (candidate: readonly Step[]) =>
    ruleOf((await happen(candidate, seed, { ...setting, settleMaxMs })).violation) === rule;
  const fails = failsIn(setting.settleMaxMs);
  // What is missing for good is mostly missing early, and many stories are tried.
  const quickly = await shrink(steps, failsIn(IMPATIENT_MS));
  const shortest = (await fails(quickly)) ? quickly : await shrink(steps, fails);
  const { violation, told } = await happen(shortest, seed, setting, true);
  return [
    `seed ${seed}: ${violation?.message ?? 'it happens no more'}`,
    ...shortest.map((step, index) => `  ${index + 1}. ${inWords(step)}`),
    'What happened:',
    ...told.slice(-LINES_MAX),
  ].join('\n');
}

const IMPATIENT_MS = 120_000;
const LINES_MAX = 60;

/** What is broken, whichever record it is that shows it. */
function ruleOf(violation: Error | null): string | null {
  return violation === null
    ? null
    : violation.message
        .split('\n')[0]!
        .replace(/\d+/g, 'n')
        .replace(/\bkey-n\b/g, 'key');
}
