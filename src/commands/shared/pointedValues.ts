import type { PointedValue } from '../../codecs/laneIndex.js';
import { DecodedPointers } from '../../consumer/lanes/decodedPointers.js';
import type { Decoders } from '../../formats/decoders.js';
import type { Layout } from '../../protocol/layout.js';
import type { KafkaRecord, TopicPartition } from '../../protocol/record.js';
import type { Mapping } from '../../protocol/settings.js';

/**
 * Finds what the pointer of a layout leads to in a record, if its value has to be decoded for that, as consumers do.
 * Undefined if not.
 */
export type FindPointed = (
  { topic, partition }: TopicPartition,
  record: KafkaRecord,
  layout: Layout,
) => Promise<PointedValue | undefined>;

/** @param decoders undefined if there is no registry. What is made rejects with RegistryError if it does not answer */
export function pointedFinder(mapping: Mapping, decoders: Decoders | undefined): FindPointed {
  const pointers = new DecodedPointers(mapping, decoders);
  return async ({ topic, partition }, record, layout) => {
    if (!pointers.areNeededFor(layout)) return undefined;
    const [pointed] = await pointers.of({ topic, partition, epoch: '' }, [record], layout);
    return pointed;
  };
}
