/** A consumer group, and how it is used, as a part of a sentence: "it has 2 members". */
export interface UsedGroup {
  readonly groupId: string;
  /** Null if this process's user may not ask Kafka about the group. */
  readonly use: string | null;
}

/** What is asked before a pipeline is claimed for the first time. Each rejects if the part does not answer. */
export interface GroupUse {
  /** The consumer group of a pipeline. Null if it is not used yet, or if the configuration names it. */
  readonly usedGroup: (pipeline: string) => Promise<UsedGroup | null>;
  /** Whether Temporal's namespace has batchers of a pipeline. */
  readonly hasBatchers: (pipeline: string) => Promise<boolean>;
}

/** Why a pipeline that nobody has claimed may not be claimed by this process. */
export interface GroupProblem {
  /** Whether it passes by itself, once a consumer has claimed the pipeline. */
  readonly passes: boolean;
  readonly message: string;
  readonly todo: string;
}

export interface GroupJudgement {
  /** By pipeline. Empty if all may be claimed. */
  readonly problems: ReadonlyMap<string, GroupProblem>;
  /** Pipelines that are claimed after all others. As long as they are not claimed, they are the proof for those. */
  readonly last: ReadonlySet<string>;
}

/**
 * Finds pipelines whose group is another installation's, and says what to do. An installation claims a pipeline before
 * it reads it. So if nobody has claimed the pipeline in this namespace, and the group is used, its reader has another
 * namespace. Two readers would get only a part of the records each.
 *
 * Version 0.1.0 claimed nothing. So batchers of a pipeline that nobody has claimed count, too: they show that this
 * configuration is an older version's. That is so for its other pipelines as well, which may never have had a record.
 *
 * @param unclaimed the pipelines of the configuration that nobody has claimed
 */
export async function judgeGroups(
  unclaimed: readonly string[],
  { usedGroup, hasBatchers }: GroupUse,
): Promise<GroupJudgement> {
  const problems = new Map<string, GroupProblem>();
  const last = new Set<string>();
  for (const pipeline of unclaimed) {
    const used = await usedGroup(pipeline);
    if (used !== null) problems.set(pipeline, problemOf(pipeline, used));
  }
  if (problems.size > 0) for (const pipeline of unclaimed) if (await hasBatchers(pipeline)) last.add(pipeline);
  return last.size > 0 ? { problems: new Map(), last } : { problems, last };
}

function problemOf(pipeline: string, { groupId, use }: UsedGroup): GroupProblem {
  const unknown = `pipeline ${pipeline} has no batcher and no claim in this namespace of Temporal`;
  if (use === null)
    return {
      passes: true,
      message: `${unknown}, and Kafka does not let this process ask whether group ${groupId} is used already`,
      todo: 'this process waits until a consumer, which may ask, has claimed the pipeline, or until it has the right to describe the group',
    };
  return {
    passes: false,
    message: `group ${groupId} is used already (${use}), but ${unknown}`,
    todo:
      `if another installation reads the group, set another groupId for the pipeline: of two that share a group, each gets only a part of the records. ` +
      `If the group is the pipeline’s own, set groupId: ${groupId}. But records that batchers in another namespace hold, or that Temporal has lost, do not come again by that. ` +
      `Before a move end the consumers there, run ktb drain, wait until ktb status shows that nothing is held, and end the workers. ` +
      `If it is too late for that, or Temporal has lost its data, run ktb rewind here before the consumers start`,
  };
}
