import { expect, it, onTestFinished, vi } from 'vitest';
import { Elections } from '../../../chaos/elections.js';
import type { StackPart } from '../../../stack/stack.js';

/**
 * Three brokers, of which the second leads partition 4. Its log ends at 100 until the follower is killed, then at 200, and where
 * the follower's ends once that one leads.
 *
 * @param committed what the group has of it
 */
function cluster(committed: number): { elections: Elections; done: string[] } {
  const done: string[] = [];
  const up = new Set([1, 2, 3]);
  let [replicas, leader, end] = [[1, 2, 3], 2, 100];
  const note = (what: string) => Promise.resolve(void done.push(what));
  const broker = (id: number) =>
    ({
      kill: () => {
        up.delete(id);
        if (id === 1) end = 200;
        return note(`kill ${id}`);
      },
      start: () => {
        up.add(id);
        if (id === 1 && !up.has(2)) [leader, end] = [1, 100];
        return note(`start ${id}`);
      },
    }) as unknown as StackPart;
  const elections = new Elections({
    topic: {
      committed: () => Promise.resolve(leader === 1 ? 100 : committed),
      copies: () => Promise.resolve({ leader, replicas, isr: replicas.filter((id) => up.has(id)) }),
      assign: (_, to) => {
        replicas = [...to];
        return note(`assign ${to.join()}`);
      },
    },
    brokers: [1, 2, 3].map(broker),
    producer: { suspend: () => note('suspend'), resume: () => note('resume') },
    set: (settings) => {
      // Others write in the place of what was lost.
      if (leader === 1 && settings['min.insync.replicas'] === '1') end = 300;
      return note(`set ${Object.values(settings).join()}`);
    },
    endOf: () => Promise.resolve({ readable: end, end }),
    read: (_, isolation) => note(`read`).then(() => ({ file: isolation, offsets: [99, 150, 190] })),
    reader: {
      holdCommits: (isOn) => {
        if (isOn) done.push('hold commits');
      },
      kill: () => note('kill the reader'),
      start: () => note('start the reader'),
    },
    areRows: ({ partition, from, to }, file) => note(`rows of ${partition}/${from} to ${to}, ${file}`).then(() => true),
    told: () => Promise.resolve(leader === 1 ? 1 : 0),
  });
  return { elections, done };
}

const PATIENCE = { wait: () => Promise.resolve(), retry: <T>(act: () => Promise<T>) => act() };
const hold = (elections: Elections, regrows = false, uncommitted = false) =>
  elections.hold({ partition: 4, regrows, uncommitted }, PATIENCE, new AbortController().signal);

it('lets a copy lead that lacks what the group has committed, and gives everything back', async () => {
  const { elections, done } = cluster(191);
  expect(await hold(elections)).toBe(100);
  expect(elections.cuts).toEqual([
    { partition: 4, from: 100, to: 200, committed: 'read_committed', all: 'read_uncommitted' },
  ]);
  expect(done).toEqual([
    ...['set true,1', 'assign 2,1', 'suspend', 'kill 1', 'resume'],
    ...['set true,2', 'read', 'read', 'kill 2', 'start 1', 'start 2', 'start 1', 'set ,', 'assign 1,2,3'],
  ]);
});

it('lets others be written at once in the place of what was lost', async () => {
  const { elections, done } = cluster(191);
  expect(await hold(elections, true)).toBe(100);
  expect(done.slice(8, 12)).toEqual(['kill 2', 'start 1', 'start 2', 'set true,1']);
});

it.each([
  [true, ['kill 2', 'start 1', 'start 2', 'set true,1', 'start the reader']],
  [false, ['kill 2', 'start 1', 'start the reader', 'start 2']],
])(
  'lets another process find a log that lacks what was accepted and not committed, longer at once: %s',
  async (regrows, then) => {
    const { elections, done } = cluster(100);
    expect(await hold(elections, regrows, true)).toBe(100);
    const before = ['kill 1', 'hold commits', 'resume', 'set true,2', 'read', 'read'];
    const accepted = 'rows of 4/100 to 200, read_committed';
    expect(done.slice(3, 11 + then.length)).toEqual([...before, accepted, 'kill the reader', ...then]);
  },
);

it('takes nothing away if a commit has come through that was to be held', async () => {
  const { elections, done } = cluster(101);
  expect(await hold(elections, true, true)).toBe(0);
  expect(elections.cuts).toEqual([]);
  expect(done).not.toContain('kill 2');
});

it('takes nothing away if the bridge does not commit all of it in time', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const { elections, done } = cluster(150);
  const held = hold(elections);
  const timer = setInterval(() => vi.setSystemTime(Date.now() + 10_000), 100);
  onTestFinished(() => clearInterval(timer));
  expect(await held).toBe(0);
  expect(elections.cuts).toEqual([]);
  expect(done).not.toContain('kill 2');
  expect(done.slice(-3)).toEqual(['start 1', 'set ,', 'assign 1,2,3']);
});
