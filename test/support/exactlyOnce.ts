import { expect } from 'vitest';
import { eventually } from './eventually.js';
import type { Ack, Fixture } from './fixture.js';

/** What {@link acknowledged} has counted. */
const counted = new WeakMap<readonly Ack[], { acks: number; readonly records: Set<string> }>();

/**
 * Different source records among acknowledgements. Tests ask again and again while these come, up to hundreds of thousands: so each is
 * looked at once, and nothing may be taken out of the list.
 */
export function acknowledged(acks: readonly Ack[]): number {
  const known = counted.get(acks) ?? { acks: 0, records: new Set() };
  counted.set(acks, known);
  for (const { topic, partition, offset } of acks.slice(known.acks))
    known.records.add(`${topic}/${partition}/${offset}`);
  known.acks = acks.length;
  return known.records.size;
}

/**
 * Waits until every produced record is acknowledged, then counts: each is one row, no more, no less, and its offset is
 * committed. A record may be acknowledged more than once only where something was killed.
 *
 * @param options.records in the topic; where a producer wrote some of them twice, `ids` says how many differ
 */
export async function expectExactlyOnce(
  fixture: Fixture,
  {
    timeoutMs = 120_000,
    acksOnce = false,
    records = fixture.produced,
    ids = records,
  }: { timeoutMs?: number; acksOnce?: boolean; records?: number; ids?: number } = {},
): Promise<void> {
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(records), timeoutMs, 250);
  expect(fixture.acks.filter(({ status }) => status !== 'inserted')).toEqual([]);
  expect(await fixture.rowCounts()).toEqual({ rows: records, identities: records, ids });
  await eventually(async () => {
    const offsets = await fixture.offsets();
    expect(offsets.map(({ committed }) => committed)).toEqual(offsets.map(({ end }) => end));
  });
  if (acksOnce) expect(fixture.acks.length).toBe(records);
}
