import { expect, it } from 'vitest';
import { chooseRanges, oneOfEachPartition, startText } from '../../../../src/commands/reconcile/ranges.js';
import type { GroupOffsets } from '../../../../src/kafka/offsets.js';
import type { LogPosition } from '../../../../src/commands/shared/logPosition.js';
import { formatUnread } from '../../../../src/consumer/partitions/commitMetadata.js';

const place = { topic: 'a', partition: 0 };
const log = { ...place, logStart: 10, logEnd: 200, highWatermark: 200, committedMetadata: null };
/** A batcher that was given all after this offset. */
const knownAfter = (offset: number) => ({
  accepted: { coverage: [{ ...place, epochs: [{ epoch: 'e1', ranges: [[offset, 190] as [number, number]] }] }] },
});
const admin = { fetchOffsetsAt: () => Promise.reject(new Error('Kafka is asked only for a time')) };

async function range(
  offsets: Pick<GroupOffsets, 'committedOffset'> & Partial<GroupOffsets>,
  batchers: readonly ReturnType<typeof knownAfter>[],
  from: LogPosition | null = null,
) {
  const found = { logs: [{ ...log, ...offsets }], unknown: [] };
  const [chosen] = await chooseRanges(admin, found, batchers, { from, to: null }, []);
  if (chosen === undefined) throw new Error('no range');
  return { ...chosen, text: startText(chosen).join() };
}

it('a partition with committed records that no batcher knows is not taken for compared', async () => {
  const lost = await range({ committedOffset: 150 }, []);
  expect(lost).toMatchObject({ from: 150, to: 150, start: 'unknown' });
  expect(lost.text).toMatch(
    /^a\/0: nothing was compared\. The group has committed 150.*--from \(the log begins at 10\)/,
  );
  expect(await range({ committedOffset: 150 }, [], 'earliest')).toMatchObject({
    from: 10,
    to: 150,
    start: 'asked',
    text: '',
  });
});

it('an idle partition that began at the end of its log is compared from the time of the first start, as the message says', async () => {
  const idle = { ...log, committedOffset: 200 };
  expect((await range(idle, [])).text).toContain('with startFrom: latest, the time of the first start');
  const nothingSince = { fetchOffsetsAt: () => Promise.resolve(new Map([['a/0', -1]])) };
  const bounds = { from: { timestampMs: 1_000 }, to: null };
  expect(await chooseRanges(nothingSince, { logs: [idle], unknown: [] }, [], bounds, [])).toMatchObject([
    { from: 200, to: 200, start: 'asked' },
  ]);
});

it('says from where it compared if that is after the start of the log, and nobody asked for it', async () => {
  const since = await range({ committedOffset: 150 }, [knownAfter(120), knownAfter(99)]);
  expect(since).toMatchObject({ from: 100, to: 150, start: 'firstGiven' });
  expect(since.text).toMatch(/^a\/0: compared from offset 100 on.*begins at 10: say --from/);
  expect(await range({ committedOffset: 150 }, [knownAfter(120)], 40)).toMatchObject({
    from: 40,
    start: 'asked',
    text: '',
  });
  expect(await range({ committedOffset: 150 }, [knownAfter(9)])).toMatchObject({ from: 10, to: 150, text: '' });
});

it('a partition with records and without an offset of the group is not taken for compared, whatever is asked for', async () => {
  for (const batchers of [[], [knownAfter(120)]])
    for (const from of [null, 'earliest', 40] as const) {
      const lost = await range({ committedOffset: null }, batchers, from);
      expect(lost).toMatchObject({
        from: 10,
        to: 10,
        start: batchers.length === 0 && from === null ? 'notRead' : 'noOffset',
      });
      expect(lost.text).toMatch(/^a\/0: nothing was compared\. The group has no offset there/);
    }
});

it('where nothing is committed in the log there is nothing to know', async () => {
  const none = { from: 10, to: 10, start: 'firstGiven', text: '' };
  expect(await range({ committedOffset: null, logEnd: 10 }, [])).toMatchObject(none);
  expect(await range({ committedOffset: 10 }, [])).toMatchObject(none);
  expect(await range({ committedOffset: 0, committedMetadata: formatUnread(5) }, [])).toMatchObject(none);
});

it('ranges of different partitions are read at once, and those of one partition one after the other', () => {
  const many = Array.from({ length: 100 }, (_, partition) => ({ topic: 'a', partition, from: 0, to: 1 }));
  expect(oneOfEachPartition(many)).toEqual([many]);
  const [first, second] = [
    { ...place, from: 0 },
    { ...place, from: 5 },
  ];
  const other = { topic: 'b', partition: 0, from: 0 };
  expect(oneOfEachPartition([first, second, other])).toEqual([[first, other], [second]]);
  expect(oneOfEachPartition([])).toEqual([]);
});
