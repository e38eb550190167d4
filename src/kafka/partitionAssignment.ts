/** A member of a consumer group, as its leader sees it. */
export interface Subscriber {
  readonly memberId: string;
  /** The topics that it reads. */
  readonly topics: readonly string[];
}

/** All topics that some member reads, sorted. */
export function subscribedTopics(members: readonly Subscriber[]): readonly string[] {
  return [...new Set(members.flatMap(({ topics }) => topics))].sort();
}

/**
 * Divides partitions among the members of a group. Each partition goes to exactly one member that reads its topic, the
 * one with the fewest partitions so far. Topics with few readers go first, so that the others can balance them. Members
 * that read the same topics get the same number of partitions, or one more. The result depends on no order of members,
 * topics or partitions. Pure.
 *
 * @param partitionsOf the numbers of a topic's partitions. Empty for a topic that is missing
 * @returns the partitions by topic, for each member that gets some
 */
export function dividePartitions(
  members: readonly Subscriber[],
  partitionsOf: (topic: string) => readonly number[],
): ReadonlyMap<string, Readonly<Record<string, number[]>>> {
  const readers = new Map<string, string[]>();
  const sorted = [...members].sort((one, other) => (one.memberId < other.memberId ? -1 : 1));
  for (const { memberId, topics } of sorted)
    for (const topic of new Set(topics)) {
      const memberIds = readers.get(topic);
      if (memberIds === undefined) readers.set(topic, [memberId]);
      else memberIds.push(memberId);
    }

  const counts = new Map<string, number>();
  const divided = new Map<string, Record<string, number[]>>();
  const topics = subscribedTopics(members).map((topic) => ({ topic, memberIds: readers.get(topic) ?? [] }));
  topics.sort((one, other) => one.memberIds.length - other.memberIds.length);
  for (const { topic, memberIds } of topics)
    for (const partition of [...partitionsOf(topic)].sort((one, other) => one - other)) {
      const memberId = memberIds.reduce((least, next) =>
        (counts.get(next) ?? 0) < (counts.get(least) ?? 0) ? next : least,
      );
      counts.set(memberId, (counts.get(memberId) ?? 0) + 1);
      // A topic may be named like a property that every object has.
      const assignment = divided.get(memberId) ?? (Object.create(null) as Record<string, number[]>);
      divided.set(memberId, assignment);
      (assignment[topic] ??= []).push(partition);
    }
  return divided;
}
