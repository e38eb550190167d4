/**
 * How records are divided among batchers: how many batchers there are, and what chooses a record's batcher. Offsets are
 * committed together with their layout, because what a batcher has accepted says nothing about another layout.
 */
export interface Layout {
  readonly batchers: number;
  readonly keyFunction: KeyFunction;
  /**
   * What chooses the batcher of a record without a key. Absent: its partition's number alone. This is the only way of
   * version 0.1.0. Many topics with one partition each then all have the same batcher. `topic`: its topic and
   * partition.
   */
  readonly keyless?: 'topic';
}

/**
 * What chooses a record's batcher.
 *
 * - `key`: its key. `header:NAME`: the last value of this header. Both by murmur2, as in Kafka's own partitioner. A
 *   record without one goes by its partition, see {@link Layout.keyless}.
 * - `partition`: the partition that it comes from.
 * - `/customer/id`: the text, number or boolean that this JSON pointer leads to in its value, by murmur2, too. Values of
 *   Avro, Protobuf and JSON Schema are decoded first. A record without one goes by its key. `key:/customer/id`: the same
 *   in its key.
 */
export type KeyFunction = 'key' | 'partition' | `header:${string}` | `/${string}` | `key:/${string}`;

/**
 * The layout as it is written in workflow ids and commit metadata: `8-key`, `8-header%3Atenant`; `8t-key` if the topic
 * counts. Version 0.1.0 takes `8t-key` for the layout of a later version, and does not touch what is committed under
 * it.
 */
export function layoutName({ batchers, keyFunction, keyless }: Layout): string {
  return `${batchers}${keyless === undefined ? '' : 't'}-${encodeURIComponent(keyFunction)}`;
}

/** Whether two layouts divide records in the same way, among the same batchers. */
export function isSameLayout(one: Layout, other: Layout): boolean {
  return layoutName(one) === layoutName(other);
}

/** The opposite of {@link layoutName}. Null if it is not a layout's name. */
export function parseLayoutName(name: string): Layout | null {
  const [, batchers, topic, encoded] = /^([1-9]\d{0,5})(t?)-([\w.!~*'()%-]+)$/.exec(name) ?? [];
  if (batchers === undefined || encoded === undefined) return null;
  try {
    const keyFunction = decodeURIComponent(encoded);
    if (!isKeyFunction(keyFunction)) return null;
    return { batchers: Number(batchers), keyFunction, ...(topic === 't' ? { keyless: 'topic' } : {}) };
  } catch {
    // These escape sequences are not ours.
    return null;
  }
}

export function isKeyFunction(text: string): text is KeyFunction {
  return text === 'key' || text === 'partition' || /^(header:.|(key:)?\/)/s.test(text);
}
