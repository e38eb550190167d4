import type { Client } from '@temporalio/client';
import type { Config, PipelineConfig } from '../config/config.js';
import { parseCommitMetadata } from '../consumer/partitions/commitMetadata.js';
import type { GroupUse, UsedGroup } from '../installation/groupUse.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { ASSIGNER_NAME } from '../kafka/groupAssigner.js';
import { findInputTopics } from '../kafka/inputTopics.js';
import { isRefusal } from '../kafka/refusal.js';
import { listLayouts } from '../temporal/batcherClient.js';

/** Asks Kafka and Temporal how the groups of a configuration are used. */
export function createGroupUse(
  { pipelines }: Pick<Config, 'pipelines'>,
  admin: Pick<KafkaAdmin, 'describeTopics' | 'listTopics' | 'fetchCommits' | 'describeGroups'>,
  client: Client,
): GroupUse {
  return {
    usedGroup: async (name) => {
      const pipeline = pipelines.find((one) => one.name === name);
      if (pipeline === undefined || pipeline.isGroupNamed) return null;
      try {
        return await useOf(pipeline, admin);
      } catch (error) {
        // A worker needs no right to the group.
        if (isRefusal(error)) return { groupId: pipeline.groupId, use: null };
        throw error;
      }
    },
    hasBatchers: async (name) => (await listLayouts(client, name)).length > 0,
  };
}

async function useOf(
  pipeline: PipelineConfig,
  admin: Pick<KafkaAdmin, 'describeTopics' | 'listTopics' | 'fetchCommits' | 'describeGroups'>,
): Promise<UsedGroup | null> {
  const { groupId } = pipeline;
  const { groups } = await admin.describeGroups([groupId]);
  // A member of another program, which divides partitions in its own way, lets none of ktb's in. It takes no records.
  const isOthers = !['', ASSIGNER_NAME].includes(groups[0]?.protocol ?? '');
  const members = isOthers ? 0 : (groups[0]?.members.length ?? 0);
  if (members > 0) return { groupId, use: `it has ${members} ${members === 1 ? 'member' : 'members'}` };
  const topics = await findInputTopics(admin, pipeline);
  const { topics: found } = await admin.describeTopics(topics);
  const partitions = topics.flatMap((topic) =>
    (found.get(topic)?.partitions ?? []).map(({ partition }) => ({ topic, partition })),
  );
  const commits = await admin.fetchCommits(groupId, partitions);
  // What a person or another program has committed is a start that was chosen.
  const isOfKtb = [...commits.values()].some(({ metadata }) => parseCommitMetadata(metadata).type !== 'foreign');
  return isOfKtb ? { groupId, use: 'ktb has committed offsets to it' } : null;
}
