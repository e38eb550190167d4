import { describe, expect, it } from 'vitest';
import { MODEL_SEED, modelSteps } from './cases.js';
import { PLANTED } from './whole/planted.js';
import { tellShortest } from './whole/shrink.js';
import { happen, storyOf, type Step } from './whole/story.js';
import { SETTING } from './whole/world.js';

/** `KTB_MODEL_STEPS=10000000` for a night. `KTB_MODEL_SEED` is the seed of the first story. */
const STEPS_WANTED = modelSteps(1_500);
/** Stories in which a planted fault has to be found. */
const STORIES_MAX = 1_000;

it(
  'the whole system loses nothing, doubles nothing, answers everything and keeps the order, whatever dies, stands still or is cut off',
  async () => {
    let [steps, records, gone, happened] = [0, 0, 0, 0];
    for (let seed = MODEL_SEED; steps < STEPS_WANTED; seed++) {
      const story = storyOf(seed);
      const end = await happen(story, seed);
      if (end.violation !== null) expect.fail(await tellShortest(story, seed, SETTING, end));
      steps += story.length;
      records += end.records;
      gone += end.gone;
      happened += end.happened;
    }
    console.log(
      `whole system: ${steps} steps, ${happened} messages and timers, ${records} records, of which Kafka has lost ${gone}, seed ${MODEL_SEED}`,
    );
    expect(records).toBeGreaterThan(steps / 10);
  },
  60_000 + STEPS_WANTED * 20,
);

it('a story takes the same course each time', async () => {
  const story = storyOf(7);
  const [first, second] = [await happen(story, 7, SETTING, true), await happen(story, 7, SETTING, true)];
  expect(first.told.length).toBeGreaterThan(50);
  expect(second.told).toEqual(first.told);
});

const SIX = ['good', 'good', 'good', 'good', 'good', 'good'] as const;
/** Member 2 has it. */
const COMMITTED_READ: readonly Step[] = [
  { type: 'write', partition: 0, kinds: SIX },
  { type: 'wait', ms: 1_500 },
];

/** Stories that have found faults of the product. */
const FOUND: readonly (readonly [what: string, steps: readonly Step[]])[] = [
  [
    'what a closed run of an earlier layout has left is flushed, also if its partitions have gone from there at once, since a person has set their offsets',
    [
      // A partition that was never read has all batchers asked, and so has heirs started.
      ...[0, 1, 2].map((partition): Step => ({ type: 'write', partition, kinds: ['good', 'good', 'good', 'good'] })),
      { type: 'wait', ms: 1_500 },
      { type: 'control', batcher: 0, action: 'pause' },
      { type: 'control', batcher: 1, action: 'pause' },
      { type: 'write', partition: 0, kinds: ['good', 'good', 'good', 'good'] },
      { type: 'wait', ms: 1_500 },
      { type: 'terminate', batcher: 0 },
      { type: 'terminate', batcher: 1 },
      { type: 'rewind', to: 3, again: true },
      { type: 'layout', member: 0, layout: 1 },
      { type: 'layout', member: 1, layout: 1 },
    ],
  ],
  [
    'a process that has just got a partition reads what is in the place of records that the group has committed',
    [...COMMITTED_READ, { type: 'kill', who: { member: 1 } }, { type: 'cut', partition: 0, records: 2, kinds: SIX }],
  ],
  [
    'a process that has just got a partition reads what is in the place of records that only batchers have accepted',
    [
      ...COMMITTED_READ,
      { type: 'write', partition: 0, kinds: SIX },
      { type: 'wait', ms: 60 },
      { type: 'kill', who: { member: 1 } },
      { type: 'cut', partition: 0, records: 3, kinds: SIX },
    ],
  ],
  [
    'nothing is read again of a log that was cut and has grown since, if the offsets of the group are lost, too',
    [...COMMITTED_READ, { type: 'loseOffsets' }, { type: 'cut', partition: 0, records: 3, kinds: SIX }],
  ],
  [
    'what is in the place of lost records is read also if the partition goes over to another layout',
    [
      ...COMMITTED_READ,
      { type: 'kill', who: { member: 1 } },
      { type: 'cut', partition: 0, records: 3, kinds: SIX },
      { type: 'layout', member: 0, layout: 1 },
      { type: 'layout', member: 1, layout: 1 },
    ],
  ],
];

it.each(FOUND)('%s', async (_what, steps) => {
  const { violation } = await happen(steps, 1);
  expect(violation).toBeNull();
});

describe('it finds a planted fault:', () => {
  it.each(PLANTED)(
    '$name',
    async ({ plant, setting = SETTING, breaks, seed: from, story }) => {
      const mend = plant();
      try {
        for (let seed = from; seed < from + (story === undefined ? STORIES_MAX : 1); seed++) {
          const { violation } = await happen(story ?? storyOf(seed), seed, setting);
          if (violation === null) continue;
          expect(violation.message).toMatch(breaks);
          return;
        }
        expect.fail(`not found in ${STORIES_MAX} stories`);
      } finally {
        mend();
      }
    },
    300_000,
  );
});

it('tells of a fault in a story of a few steps', async () => {
  const { plant, seed } = PLANTED.find(({ name }) => name.startsWith('records are acknowledged before'))!;
  const mend = plant();
  try {
    const story = storyOf(seed);
    const told = await tellShortest(story, seed, SETTING, await happen(story, seed));
    expect(told).toMatch(
      /^seed \d+: r\d+ is acknowledged, and has no row\n {2}1\. .*\n( {2}2\. .*\n)?What happened:\n/,
    );
    expect(told).toContain('is acknowledged as inserted');
  } finally {
    mend();
  }
}, 120_000);
