import { expect, it, onTestFinished, vi } from 'vitest';
import { parseAfter } from '../../../../src/commands/dlq/replayDeadLetters.js';
import { ReplayReport } from '../../../../src/commands/dlq/replayReport.js';
import type { Replay } from '../../../../src/commands/dlq/waitingReplays.js';
import { UsageError } from '../../../../src/lib/usageError.js';

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
  expect(said).toEqual([
    '3 replayed to orders',
    'The same command would make these rows twice. To replay only later dead letters next time, repeat it with --after 2/40 --after 0/9 --after 1/3',
  ]);
  report.isUnfinished();
  report.print();
  expect(said.at(-1)).toMatch(/repeat it with --after 2\/40 --after 0\/9 --after 1\/3$/);
  expect(() => parseAfter(['orders/0/7'])).toThrow(UsageError);
});
