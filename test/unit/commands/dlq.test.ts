import { expect, it, onTestFinished, vi } from 'vitest';
import {
  listDeadLetters,
  parseAfter,
  readAgainText,
  replayDeadLetters,
  ReplayReport,
  showDeadLetters,
  type Replay,
} from '../../../src/commands/dlq.js';
import { InterruptedError, Interruption } from '../../../src/lib/interruption.js';
import { UsageError } from '../../../src/lib/usageError.js';
import { unreachableConfig } from '../../support/unreachableConfig.js';

const config = unreachableConfig(['orders']);

it.each([
  ['list', () => listDeadLetters('ordres', { config, json: false })],
  ['show', () => showDeadLetters('ordres', { config, code: [], record: [], limit: 1, values: false })],
  ['replay', () => replayDeadLetters('ordres', { config, code: [], record: [], all: true, dryRun: true })],
])('%s takes a pipeline that the configuration lacks for a mistake on the command line', async (_, command) => {
  const refused = new UsageError('the configuration has no pipeline ordres; it has orders');
  await expect(command()).rejects.toThrow(refused);
  await expect(command()).rejects.toBeInstanceOf(UsageError);
});

it('a replay names every other pipeline that gets the records again, also one that reads the topic by a pattern', () => {
  const choice = { topics: ['t'], topicPatterns: [], ownTopics: new Set<string>() };
  const ra = { ...choice, name: 'ra' };
  const rb = { ...choice, name: 'rb' };
  const byPattern = { ...choice, name: 'rc', topics: [], topicPatterns: [/^t$/] };
  const elsewhere = { ...choice, name: 'rd', topics: ['other'] };
  expect(readAgainText('t', ra, [ra, elsewhere])).toEqual([]);
  expect(readAgainText('t', ra, [ra, rb, byPattern, elsewhere])).toEqual([
    'pipeline rb reads t, too, and gets these records again, as new ones',
    'pipeline rc reads t, too, and gets these records again, as new ones',
  ]);
});

it('a replay that a signal ends says how much was replayed, and after which dead letters it goes on', async () => {
  const said: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((text: string) => void said.push(text));
  onTestFinished(() => log.mockRestore());
  const message = (partition: number, offset: number) =>
    ({ letter: { partition, record: { offset }, source: null } }) as unknown as Replay;
  const report = new ReplayReport(false, () => [], parseAfter(['2/40']));
  const messages = [message(0, 7), message(1, 3), message(0, 9)];
  const publishEach = (_: string, all: readonly Replay[], { taken }: { taken: (some: readonly Replay[]) => void }) => {
    taken(all);
    return Promise.resolve();
  };
  await report.publish(
    { publishEach } as unknown as Parameters<ReplayReport['publish']>[0],
    new Map([['orders', messages]]),
  );
  report.print();
  expect(said).toEqual(['3 replayed to orders']);
  report.isUnfinished();
  report.print();
  expect(said.at(-1)).toMatch(/repeat it with --after 2\/40 --after 0\/9 --after 1\/3$/);
  expect(() => parseAfter(['orders/0/7'])).toThrow(UsageError);
});

it.each(['SIGINT', 'SIGTERM'] as const)('%s is noted until it is closed, once', (signal) => {
  const listeners = () => process.listenerCount('SIGTERM') + process.listenerCount('SIGINT');
  const before = listeners();
  const interruption = new Interruption();
  expect(() => interruption.check()).not.toThrow();
  process.emit(signal, signal);
  // Another one ends the process.
  expect(listeners()).toBe(before + 1);
  expect(() => interruption.check()).toThrow(InterruptedError);
  interruption.close();
  expect(listeners()).toBe(before);
});
