import { randomBytes } from 'node:crypto';
import {
  GenericContainer,
  getContainerRuntimeClient,
  Network,
  Wait,
  type ContainerRuntimeClient,
  type StartedNetwork,
} from 'testcontainers';
import { assemble, type StartedParts } from '../assemble.js';
import { kafkaHeapMiB, kafkaSettings, settingsOfNode } from '../kafkaSettings.js';
import { pickPorts, releasePorts } from '../ports.js';
import { probeBroker, probeClickHouse, probeTemporal } from '../probes.js';
import { Progress } from '../progress.js';
import { StackError, type PartName, type Stack, type StackOptions } from '../stack.js';
import { TEMPORAL_ENVIRONMENT, temporalArguments } from '../temporalArguments.js';
import { ensureImages, imageOf } from './images.js';
import { DockerPart } from './part.js';

const BROKER_PORT = 9092;
const CONTROLLER_PORT = 9093;
const INTERNAL_PORT = 9094;
const TEMPORAL_PORT = 7233;
const TEMPORAL_UI_PORT = 8233;
const CLICKHOUSE_PORT = 8123;

interface DockerContext {
  readonly client: ContainerRuntimeClient;
  /** Where the ports of containers are reached. */
  readonly host: string;
  readonly signal: AbortSignal | undefined;
  /** Everything that has been started, for the clean-up. */
  readonly parts: DockerPart[];
  readonly ports: number[];
}

/** Starts the parts as containers of the official images; see {@link Stack}. */
export async function startDockerStack(options: StackOptions, names: ReadonlySet<PartName>): Promise<Stack> {
  const progress = new Progress(options.onProgress);
  const reason = await ensureImages(names, progress);
  if (reason !== undefined) {
    throw new StackError('PREREQUISITE', `The docker flavour of the local stack cannot start: ${reason}`);
  }
  const client = await getContainerRuntimeClient();
  const context: DockerContext = {
    client,
    host: client.info.containerRuntime.host,
    signal: options.signal,
    parts: [],
    ports: [],
  };
  let network: StartedNetwork | undefined;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopped ??= progress.step('stack', 'stop', async () => {
      await Promise.all(context.parts.map((part) => part.remove()));
      await network?.stop();
      releasePorts(context.ports);
    }));
  try {
    network = await new Network().start();
    const brokersOnNetwork = network;
    const step = async <T>(name: PartName, run: () => Promise<T>): Promise<T | undefined> =>
      names.has(name) ? progress.step(name, `start ${imageOf(name)}`, run) : undefined;
    const outcomes = await Promise.allSettled([
      step('kafka', () => startKafka(options, brokersOnNetwork, context)),
      step('temporal', () => startTemporal(options, context)),
      step('clickhouse', () => startClickHouse(context)),
    ] as const);
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure) throw failure.reason;
    const [kafka, temporal, clickhouse] = outcomes.map((outcome) =>
      outcome.status === 'fulfilled' ? outcome.value : undefined,
    ) as [StartedParts['kafka'], StartedParts['temporal'], StartedParts['clickhouse']];
    const parts: StartedParts = {
      ...(kafka ? { kafka } : {}),
      ...(temporal ? { temporal } : {}),
      ...(clickhouse ? { clickhouse } : {}),
    };
    return assemble({ parts, flavour: 'docker', dataDir: '', stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startKafka(
  { brokers = 1, kafkaConfig }: Pick<StackOptions, 'brokers' | 'kafkaConfig'>,
  network: StartedNetwork,
  context: DockerContext,
): Promise<NonNullable<StartedParts['kafka']>> {
  const ports = await freePorts(brokers, context);
  const addresses = ports.map((port) => `${context.host}:${port}`);
  const clusterId = randomBytes(16).toString('base64url');
  const nodes = ports.map((port, index) => ({ port, nodeId: index + 1, name: `kafka-${index + 1}` }));
  const voters = nodes.map(({ nodeId, name }) => `${nodeId}@${name}:${CONTROLLER_PORT}`).join(',');
  const parts = await Promise.all(
    nodes.map(({ port, nodeId, name }) => {
      const settings = {
        ...kafkaSettings(brokers),
        ...settingsOfNode(kafkaConfig ?? {}, nodeId),
        'process.roles': 'broker,controller',
        'node.id': String(nodeId),
        'controller.quorum.voters': voters,
        listeners: `PLAINTEXT://:${BROKER_PORT},CONTROLLER://:${CONTROLLER_PORT},INTERNAL://:${INTERNAL_PORT}`,
        'advertised.listeners': `PLAINTEXT://${context.host}:${port},INTERNAL://${name}:${INTERNAL_PORT}`,
        'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT',
        'controller.listener.names': 'CONTROLLER',
        'inter.broker.listener.name': 'INTERNAL',
        'log.dirs': '/var/lib/kafka/data',
      };
      const container = new GenericContainer(imageOf('kafka'))
        .withNetwork(network)
        .withNetworkAliases(name)
        // So that it finds itself as a controller where the network has no names.
        .withHostname(name)
        .withExposedPorts({ container: BROKER_PORT, host: port })
        .withEnvironment({
          ...environmentOf(settings),
          CLUSTER_ID: clusterId,
          KAFKA_HEAP_OPTS: `-Xmx${kafkaHeapMiB(brokers)}m`,
        });
      const address = `${context.host}:${port}`;
      return run(name, container, context, () =>
        probeBroker({ nodeId, address, peers: addresses.filter((peer) => peer !== address) }),
      );
    }),
  );
  return { addresses: { brokers: addresses }, parts };
}

async function startTemporal(
  options: StackOptions,
  context: DockerContext,
): Promise<NonNullable<StartedParts['temporal']>> {
  const [port = 0, uiPort = 0] = await freePorts(2, context);
  const address = `${context.host}:${port}`;
  const container = new GenericContainer(imageOf('temporal'))
    // The official image has no folder that its own user may write to.
    .withUser('0:0')
    .withEnvironment(TEMPORAL_ENVIRONMENT)
    .withExposedPorts({ container: TEMPORAL_PORT, host: port }, { container: TEMPORAL_UI_PORT, host: uiPort })
    .withCommand(
      temporalArguments(
        { ip: '0.0.0.0', port: TEMPORAL_PORT, uiPort: TEMPORAL_UI_PORT, databaseFile: '/temporal.db' },
        options,
      ),
    );
  const part = await run('temporal', container, context, () => probeTemporal(address));
  return { addresses: { address, ...(options.ui ? { uiUrl: `http://${context.host}:${uiPort}` } : {}) }, part };
}

async function startClickHouse(context: DockerContext): Promise<NonNullable<StartedParts['clickhouse']>> {
  const [port = 0] = await freePorts(1, context);
  const url = `http://${context.host}:${port}`;
  const container = new GenericContainer(imageOf('clickhouse'))
    .withExposedPorts({ container: CLICKHOUSE_PORT, host: port })
    // Otherwise the image keeps a user without a password from the network.
    .withEnvironment({ CLICKHOUSE_SKIP_USER_SETUP: '1' });
  const part = await run('clickhouse', container, context, () => probeClickHouse(url));
  return { addresses: { url, username: 'default', password: '', database: 'default' }, part };
}

async function run(
  name: string,
  container: GenericContainer,
  context: DockerContext,
  probe: () => Promise<void>,
): Promise<DockerPart> {
  // No waiting by testcontainers: its look at the ports needs a shell in the image, and ours sees more.
  const started = await container.withWaitStrategy(Wait.forAll([])).start();
  const part = new DockerPart(name, context.client.container.getById(started.getId()), probe);
  context.parts.push(part);
  await part.untilHealthy(context.signal);
  return part;
}

async function freePorts(count: number, context: DockerContext): Promise<number[]> {
  const ports = await pickPorts(count);
  context.ports.push(...ports);
  return ports;
}

/** The image reads `KAFKA_NODE_ID` for `node.id`. */
function environmentOf(settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [`KAFKA_${name.toUpperCase().replaceAll('.', '_')}`, value]),
  );
}
