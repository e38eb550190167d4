import { secondsOfRecord } from '../../clickhouse/lookUps.js';
import { placeName, type KafkaRecord, type RecordPlace } from '../../protocol/record.js';
import { holdsRecord } from './batchesOfRecord.js';
import type { FoundBatcher } from '../shared/foundBatchers.js';
import { visitUnflushed } from '../shared/unflushedChunks.js';
import type { Acceptance } from './recordFacts.js';

/** What tells a record from another one at its offset. */
interface Told {
  readonly place: RecordPlace;
  readonly record: Pick<KafkaRecord, 'timestampMs'>;
  /** The committed epoch. Null if it is not known. */
  readonly epoch: string | null;
  /** The epochs under which the batcher has accepted the offset. */
  readonly epochs: readonly string[];
}

/**
 * What a batcher has not flushed at a record's offset: the record, or another one that was there before the topic was recreated.
 * As in a rewind, the timestamp tells them apart. If the chunk cannot be unpacked, only its epoch can.
 */
export async function unflushedAt(
  { workflowId, accepted }: Pick<FoundBatcher, 'workflowId' | 'accepted'>,
  { place, record, epoch, epochs }: Told,
): Promise<Pick<Acceptance, 'unflushed' | 'earlierEpochs' | 'locked'>> {
  const unflushed = accepted.unflushed.filter(({ chunk }) => holdsRecord(chunk, place));
  const earlierEpochs = new Set<string>();
  const found: { unflushed: boolean; locked: Acceptance['locked'] } = { unflushed: false, locked: null };
  await visitUnflushed(workflowId, unflushed, {
    record: ({ topic, partition, epoch: of }, { offset, timestampMs }) => {
      if (placeName({ topic, partition, offset }) !== placeName(place)) return;
      if (secondsOfRecord(timestampMs) === secondsOfRecord(record.timestampMs)) found.unflushed = true;
      else earlierEpochs.add(of);
    },
    locked: (range) => {
      const { topic, partition, from, to, epoch: of } = range;
      if (topic !== place.topic || partition !== place.partition || place.offset < from || place.offset >= to) return;
      if (epoch !== null && of !== epoch && epochs.includes(epoch)) return;
      found.unflushed = true;
      found.locked = range;
    },
  });
  return { ...found, earlierEpochs: [...earlierEpochs] };
}
