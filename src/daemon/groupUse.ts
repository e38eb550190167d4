import type { Client } from '@temporalio/client';
import type { Config, PipelineConfig } from '../config/config.js';
import { parseCommitMetadata } from '../consumer/partitions/commitMetadata.js';
import type { GroupUse, Use } from '../installation/judgeGroups.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { ASSIGNER_NAME } from '../kafka/groupAssigner.js';
import { isUserRefusal } from '../kafka/userRefusal.js';
import { findBatcherRuns } from '../temporal/batcherRuns.js';
import { startSettings } from '../temporal/historyEvents.js';

/** Batchers of a pipeline that are asked for their installation, at most. All have the same one. */
const ASKED_MAX = 4;

/** Asks Kafka and Temporal how the groups of a configuration are used, and whose their batchers are. */
export function createGroupUse(
  { pipelines }: Pick<Config, 'pipelines'>,
  admin: Pick<KafkaAdmin, 'fetchCommits' | 'describeGroups'>,
  client: Client,
): GroupUse {
  return {
    groupOf: (name) => {
      const pipeline = pipelines.find((one) => one.name === name);
      if (pipeline === undefined) throw new Error(`the configuration has no pipeline ${name}`);
      const use = async (): Promise<Use> => {
        try {
          return await useOf(pipeline, admin);
        } catch (error) {
          // A worker needs no right to the group.
          if (isUserRefusal(error)) return 'unknown';
          throw error;
        }
      };
      return { groupId: pipeline.groupId, isNamed: pipeline.isGroupNamed, use };
    },
    batchersOf: async (name) => {
      const { namespace } = client.options;
      const runs = await findBatcherRuns(client, name);
      if (runs.length === 0) return null;
      // Temporal lists the newest first. What earlier runs held, their heirs have taken over.
      const newest = new Map(runs.toReversed().map((run) => [run.workflowId, run]));
      const holding = [...newest.values()].filter(({ status }) => status !== 'COMPLETED');
      for (const run of holding.slice(0, ASKED_MAX)) {
        const installation = (await startSettings(client, { namespace, ...run }))?.installation;
        if (installation !== undefined) return { installation, drained: false };
      }
      return { installation: null, drained: holding.length === 0 };
    },
  };
}

async function useOf(
  { groupId }: Pick<PipelineConfig, 'groupId'>,
  admin: Pick<KafkaAdmin, 'fetchCommits' | 'describeGroups'>,
): Promise<Use> {
  const { groups } = await admin.describeGroups([groupId]);
  // A member of another program, which divides partitions in its own way, lets none of ktb's in. It takes no records.
  const isOthers = !['', ASSIGNER_NAME].includes(groups[0]?.protocol ?? '');
  const members = isOthers ? 0 : (groups[0]?.members.length ?? 0);
  if (members > 0) return { how: `it has ${members} ${members === 1 ? 'member' : 'members'}` };
  const commits = await admin.fetchCommits(groupId, 'all');
  // What a person or another program has committed is a start that was chosen.
  const isOfKtb = [...commits.values()].some(({ metadata }) => parseCommitMetadata(metadata).type !== 'foreign');
  return isOfKtb ? { how: 'ktb has committed offsets to it' } : 'unused';
}
