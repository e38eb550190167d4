/** A consumer group, and how it is used, as a part of a sentence: "it has 2 members". */
export interface UsedGroup {
  readonly groupId: string;
  readonly use: string;
}

/** What is asked before a pipeline is claimed for the first time. Each rejects if the part does not answer. */
export interface GroupUse {
  /**
   * The consumer group of a pipeline, if it is used already. Null if it is not, if the configuration names the group, or
   * if this user may not ask.
   */
  readonly usedGroup: (pipeline: string) => Promise<UsedGroup | null>;
  /** Whether Temporal's namespace has batchers of a pipeline. */
  readonly hasBatchers: (pipeline: string) => Promise<boolean>;
}

/**
 * Says that the group of a pipeline is another installation's, and what to do. An installation claims a pipeline before
 * it reads it. So if nobody has claimed the pipeline in this namespace, and the group is used, its reader has another
 * namespace. Two readers would get only a part of the records each.
 *
 * Version 0.1.0 claimed nothing. So batchers count, too: those of the pipeline, or, at the first start of a version that
 * claims, those of any pipeline of the configuration.
 *
 * @param pipeline one that nobody has claimed
 * @param unclaimed the pipelines of the configuration that nobody has claimed. Null if some are claimed
 * @returns null if the group may be read
 */
export async function otherReader(
  pipeline: string,
  unclaimed: readonly string[] | null,
  { usedGroup, hasBatchers }: GroupUse,
): Promise<{ readonly message: string; readonly todo: string } | null> {
  const used = await usedGroup(pipeline);
  if (used === null) return null;
  for (const name of [pipeline, ...(unclaimed ?? [])]) if (await hasBatchers(name)) return null;
  const { groupId, use } = used;
  return {
    message: `group ${groupId} is used already (${use}), but pipeline ${pipeline} has never run in this namespace of Temporal`,
    todo:
      `if another installation reads the group, set another groupId for the pipeline: of two that share a group, each gets only a part of the records. ` +
      `If the group is the pipeline’s own (it comes from another namespace, or Temporal has lost its data), set groupId: ${groupId}`,
  };
}
