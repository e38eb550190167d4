import kafkajs from 'kafkajs';
import { partitionName } from '../protocol/record.js';
import type { KafkaAdmin } from './admin.js';

/** A member of a consumer group. */
export interface GroupMemberInfo {
  readonly memberId: string;
  readonly clientId: string;
  readonly host: string;
  /** Names like `topic/partition`. Empty while the group rebalances. */
  readonly partitions: readonly string[];
}

/** The members of a consumer group and their partitions. Rejects if Kafka does not answer. */
export async function groupMembers(admin: KafkaAdmin, groupId: string): Promise<GroupMemberInfo[]> {
  const { groups } = await admin.describeGroups([groupId]);
  return (groups[0]?.members ?? []).map(({ memberId, clientId, clientHost, memberAssignment }) => {
    const assignment = kafkajs.AssignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment ?? {};
    const partitions = Object.entries(assignment).flatMap(([topic, list]) =>
      list.map((partition) => partitionName({ topic, partition })),
    );
    return { memberId, clientId, host: clientHost.replace(/^\//, ''), partitions };
  });
}
