import type { NativeConnection } from '@temporalio/worker';
import type { Config } from '../../config/config.js';
import { reachTemporal } from '../../connections/openParts.js';
import { checkTemporal } from '../../daemon/startUpChecks.js';
import { Claims, pipelineClaim } from '../../installation/claims.js';
import { createPlainClient } from '../../temporal/connect.js';
import { readPayloadLimit } from '../../temporal/namespaceLimit.js';
import type { Finding } from './finding.js';
import { judgeNamespace, type NamespaceFacts } from './namespaceFindings.js';

/** Asks Temporal about its namespace and the task queues. */
export async function checkNamespace(config: Config): Promise<Finding[]> {
  const connection = await reachTemporal(config.temporal);
  try {
    await checkTemporal(connection, config);
    return judgeNamespace(await namespaceFacts(connection, config));
  } finally {
    await connection.close();
  }
}

/** `temporal.api.enums.v1.TaskQueueType`. */
const TASK_QUEUE_TYPE = { workflow: 1, activity: 2 } as const;

async function namespaceFacts(
  connection: NativeConnection,
  { temporal, pipelines }: Pick<Config, 'temporal' | 'pipelines'>,
): Promise<NamespaceFacts> {
  const { workflowService } = connection;
  const { namespace, taskQueue } = temporal;
  const { config } = await workflowService.describeNamespace({ namespace });
  const claimed = await activityQueues(connection, { temporal, pipelines });
  const pollers = async (name: string, taskQueueType: number): Promise<number> => {
    const request: object = { namespace, taskQueue: { name }, taskQueueType };
    const answer = await workflowService.describeTaskQueue(request);
    return answer.pollers.length;
  };
  return {
    namespace,
    taskQueue,
    retentionMs: Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0) * 1000,
    payloadBytesMax: await readPayloadLimit(connection, { namespace }),
    workflowPollers: await pollers(taskQueue, TASK_QUEUE_TYPE.workflow),
    activityQueues: await Promise.all(
      [...new Set(claimed.values())].map(async (name) => {
        return { taskQueue: name, pollers: await pollers(name, TASK_QUEUE_TYPE.activity) };
      }),
    ),
    unclaimed: pipelines.flatMap(({ name }) => (claimed.has(name) ? [] : [name])),
  };
}

/** The task queue of the activities of each pipeline that a worker has claimed, by the pipeline's name. */
async function activityQueues(
  connection: NativeConnection,
  { temporal, pipelines }: Pick<Config, 'temporal' | 'pipelines'>,
): Promise<ReadonlyMap<string, string>> {
  const claims = new Claims(createPlainClient(connection, temporal), temporal.requestTimeoutMs);
  const found = new Map<string, string>();
  for (const { name } of pipelines) {
    const installation = (await claims.read(pipelineClaim(name)))?.claim.installation;
    if (installation) found.set(name, installation.taskQueue);
  }
  return found;
}
