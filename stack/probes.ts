import { connect } from 'node:net';
import { Connection } from '@temporalio/client';
import { Kafka, logLevel, type Admin } from 'kafkajs';
import { StackError } from './stack.js';

const PROBE_WITHIN_MS = 3000;

/** A broker, and the others of its cluster. */
export interface BrokerAddress {
  readonly nodeId: number;
  readonly address: string;
  readonly peers: readonly string[];
}

/**
 * A broker is healthy when it knows its cluster, coordinates groups, and follows every partition that it has a copy of, as
 * seen by itself and by every other broker that is up: before that, ending another one could leave a partition without the
 * copies that it needs. (Its own view alone may be from before it was killed.)
 */
export async function probeBroker({ nodeId, address, peers }: BrokerAddress): Promise<void> {
  await withAdmin(address, async (admin) => {
    const { brokers } = await admin.describeCluster();
    // Of three, two are needed for anything; the third one may be away on purpose.
    if (brokers.length < Math.min(2, peers.length + 1)) {
      throw new StackError('START', 'the other brokers are not registered yet');
    }
    await admin.fetchOffsets({ groupId: 'stack-probe', topics: [] });
    await checkFollows(nodeId, admin);
  });
  for (const peer of peers) {
    if (await accepts(peer)) await withAdmin(peer, (admin) => checkFollows(nodeId, admin));
  }
}

async function checkFollows(nodeId: number, admin: Admin): Promise<void> {
  const { brokers } = await admin.describeCluster();
  if (!brokers.some((broker) => broker.nodeId === nodeId)) {
    throw new StackError('START', `broker ${nodeId} is not registered yet`);
  }
  const { topics } = await admin.fetchTopicMetadata();
  for (const { name, partitions } of topics) {
    const behind = partitions.find(({ replicas, isr }) => replicas.includes(nodeId) && !isr.includes(nodeId));
    if (behind) throw new StackError('START', `broker ${nodeId} is behind in ${name}-${behind.partitionId}`);
  }
}

async function withAdmin(address: string, use: (admin: Admin) => Promise<void>): Promise<void> {
  const kafka = new Kafka({
    clientId: 'stack-probe',
    brokers: [address],
    connectionTimeout: PROBE_WITHIN_MS,
    requestTimeout: PROBE_WITHIN_MS,
    retry: { retries: 0 },
    logLevel: logLevel.NOTHING,
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    await use(admin);
  } finally {
    await admin.disconnect();
  }
}

/** Whether anything listens at `host:port`. */
function accepts(address: string): Promise<boolean> {
  const { hostname, port } = new URL(`tcp://${address}`);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** @throws StackError if nothing listens at `host:port` */
export async function mustAccept(address: string): Promise<void> {
  if (!(await accepts(address))) throw new StackError('START', `nothing listens at ${address}`);
}

/** Temporal is healthy when the default namespace is there and its workflows can be listed. */
export async function probeTemporal(address: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: PROBE_WITHIN_MS / 3 });
  try {
    await connection.withDeadline(Date.now() + PROBE_WITHIN_MS, async () => {
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      await connection.workflowService.listWorkflowExecutions({ namespace: 'default', pageSize: 1 });
    });
  } finally {
    await connection.close();
  }
}

/** ClickHouse is healthy when it answers a query. */
export async function probeClickHouse(url: string): Promise<void> {
  const response = await fetch(`${url}/?query=SELECT%201`, { signal: AbortSignal.timeout(PROBE_WITHIN_MS) });
  const body = await response.text();
  if (!response.ok) throw new StackError('START', body);
}
