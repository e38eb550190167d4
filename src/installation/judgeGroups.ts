import { mapConcurrently } from '../lib/mapConcurrently.js';
import type { Installation } from '../protocol/installation.js';

/** A consumer group, and how it is used, as a part of a sentence: "it has 2 members". */
export interface GroupOfPipeline {
  readonly groupId: string;
  /** Whether the configuration names it. Then it was chosen. */
  readonly isNamed: boolean;
  /** Asks Kafka. Rejects if it does not answer. */
  readonly use: () => Promise<Use>;
}

/** `unused`, or `unknown` if this process's user may not ask Kafka about the group. */
export type Use = 'unused' | 'unknown' | { readonly how: string };

/** The batchers of a pipeline that Temporal knows. */
export interface BatchersOfPipeline {
  /** The installation that the settings of one of them name. Null if they name none: version 0.1.0 knew none. */
  readonly installation: Installation | null;
  /** Whether all were drained, so they hold nothing. */
  readonly drained: boolean;
}

/** What is asked before a pipeline is claimed for the first time. */
export interface GroupUse {
  readonly groupOf: (pipeline: string) => GroupOfPipeline;
  /** Null if Temporal's namespace has none. Rejects if Temporal does not answer. */
  readonly batchersOf: (pipeline: string) => Promise<BatchersOfPipeline | null>;
}

/** The installation that would claim the pipelines. */
export interface Claimer {
  /** The `installation` of the configuration. Null if it has none. */
  readonly configured: string | null;
  /** Whether it is this installation. */
  readonly is: (pipeline: string, installation: Installation) => Promise<boolean>;
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

/** Pipelines that are asked about at the same time, at most. */
const AT_ONCE_MAX = 8;

/**
 * Finds pipelines that are another installation's although nobody has claimed them here, and says what to do. An
 * installation claims a pipeline before it reads it. So if the group is used, its reader has another namespace. Two
 * readers would get only a part of the records each. And batchers that name an installation are that one's, whatever
 * became of the claim.
 *
 * Version 0.1.0 claimed nothing and named nothing. If the pipeline has such batchers and its group is used, this
 * configuration is an older version's. That is so for its other pipelines as well, which may never have had a record. If
 * no group is used, the batchers belong to one that reads another Kafka.
 *
 * @param unclaimed the pipelines of the configuration that nobody has claimed
 */
export async function judgeGroups(
  unclaimed: readonly string[],
  { groupOf, batchersOf }: GroupUse,
  claimer: Claimer,
): Promise<GroupJudgement> {
  const problems = new Map<string, GroupProblem>();
  const ofOthers = new Map<string, GroupProblem>();
  const last = new Set<string>();
  await mapConcurrently(
    unclaimed,
    async (pipeline) => {
      const group = groupOf(pipeline);
      const batchers = await batchersOf(pipeline);
      const named = batchers?.installation ?? null;
      if (named !== null) {
        if (await claimer.is(pipeline, named)) last.add(pipeline);
        else ofOthers.set(pipeline, namedProblem(pipeline, named.name));
        return;
      }
      // A group that the configuration names was chosen. It is only asked about as a proof.
      if (batchers === null && group.isNamed) return;
      const use = await group.use();
      if (batchers === null || use !== 'unused') {
        if (batchers !== null) last.add(pipeline);
        const problem = group.isNamed ? null : groupProblem(pipeline, group, use);
        if (problem !== null) problems.set(pipeline, problem);
      } else if (!batchers.drained && claimer.configured === null)
        problems.set(pipeline, batchersProblem(pipeline, group));
    },
    AT_ONCE_MAX,
  );
  return { problems: last.size > 0 ? ofOthers : new Map([...problems, ...ofOthers]), last };
}

const ELSEWHERE =
  'give the pipeline another name here, or use another namespace of Temporal and, if the Kafka is the same, another groupId';

function namedProblem(pipeline: string, installation: string): GroupProblem {
  return {
    passes: false,
    message: `pipeline ${pipeline} has batchers of installation ${installation} in this namespace of Temporal, and no claim`,
    todo: `if this is another installation, ${ELSEWHERE}; if it is that one, set installation: ${installation}`,
  };
}

function batchersProblem(pipeline: string, { groupId }: GroupOfPipeline): GroupProblem {
  return {
    passes: false,
    message: `pipeline ${pipeline} has batchers in this namespace of Temporal, but no claim, and ktb has never used group ${groupId} on this Kafka: they seem to be those of a daemon of version 0.1.0 with another Kafka or another group`,
    todo: `if they are, ${ELSEWHERE}; if the batchers are the pipeline’s own, because its offsets were lost or its Kafka has moved, set an installation, with a name of your choice`,
  };
}

function groupProblem(pipeline: string, { groupId }: GroupOfPipeline, use: Use): GroupProblem | null {
  const unknown = `pipeline ${pipeline} has no batcher and no claim in this namespace of Temporal`;
  if (use === 'unused') return null;
  if (use === 'unknown')
    return {
      passes: true,
      message: `${unknown}, and Kafka does not let this process ask whether group ${groupId} is used already`,
      todo: 'this process waits until a consumer, which may ask, has claimed the pipeline, or until it has the right to describe the group',
    };
  return {
    passes: false,
    message: `group ${groupId} is used already (${use.how}), but ${unknown}`,
    todo:
      `if another installation reads the group, set another groupId for the pipeline: of two that share a group, each gets only a part of the records. ` +
      `If the group is the pipeline’s own, set groupId: ${groupId}. But records that batchers in another namespace hold, or that Temporal has lost, do not come again by that. ` +
      `Before a move end the consumers there with SIGTERM, run ktb drain, wait until ktb status shows that nothing is held, and end the workers. ` +
      `If it is too late for that, a consumer was killed, or Temporal has lost its data, run ktb rewind here before the consumers start`,
  };
}
