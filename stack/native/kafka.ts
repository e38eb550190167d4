import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedDirectory, fillCache, isCached } from '../cache.js';
import { kafkaHeapMiB, kafkaSettings, settingsOfNode } from '../kafkaSettings.js';
import { HOST } from '../ports.js';
import { probeBroker } from '../probes.js';
import { logTail, runCommand } from '../processes.js';
import { javaCommand, javaVersion, SHORT_LIFE } from '../prerequisites.js';
import { StackError, throwIfAborted, type StackOptions } from '../stack.js';
import { VERSIONS } from '../versions.js';
import { onFreePorts, type NativeContext } from './context.js';
import { CLASS_PATH, ensureJars, type JarSet } from './maven.js';
import { NativePart } from './part.js';
import type { TlsFiles } from './tls.js';

const START_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 15_000;
const CLASS_ARCHIVE = 'kafka.jsa';

/** The broker, its command-line tools, and a logging backend. */
export const KAFKA_JARS: JarSet = {
  name: 'kafka',
  version: VERSIONS.kafka,
  title: `Kafka ${VERSIONS.kafka}`,
  artifacts: [
    `org.apache.kafka:kafka_2.13:${VERSIONS.kafka}`,
    `org.apache.kafka:kafka-tools:${VERSIONS.kafka}`,
    `org.apache.logging.log4j:log4j-slf4j-impl:${VERSIONS.log4j}`,
  ],
};

/** The brokers of a native stack. */
export interface NativeKafka {
  readonly brokers: readonly string[];
  /** Of the listeners for SASL_SSL and for SSL with client certificates; empty without TLS. */
  readonly saslBrokers: readonly string[];
  readonly mutualBrokers: readonly string[];
  readonly parts: readonly NativePart[];
}

interface BrokerPlan {
  readonly nodeId: number;
  readonly name: string;
  readonly port: number;
  readonly controllerPort: number;
  /** 0 without TLS. */
  readonly saslPort: number;
  readonly mutualPort: number;
  readonly directory: string;
}

/** Where the classes come from, and how the JVMs of brokers and of the storage tool load them. */
interface Classes {
  readonly jars: string;
  readonly ofBrokers: readonly string[];
  readonly ofTool: readonly string[];
}

/** Starts 1 or 3 brokers, each a broker and a controller in one JVM (KRaft); with TLS where files for it are given. */
export async function startKafka(
  {
    brokers = 1,
    kafkaConfig = {},
    kafkaJvmOptions = [],
    shortLived = false,
  }: Pick<StackOptions, 'brokers' | 'kafkaConfig' | 'kafkaJvmOptions' | 'shortLived'>,
  context: NativeContext,
  tls?: TlsFiles,
): Promise<NativeKafka> {
  const jars = await ensureJars(KAFKA_JARS, context);
  const archive = await classArchiveArguments(jars, context);
  const ofTool = [...archive, ...SHORT_LIFE];
  const classes = { jars, ofBrokers: [...(shortLived ? ofTool : archive), ...kafkaJvmOptions], ofTool };
  return context.progress.step('kafka', brokers === 1 ? 'start Kafka' : `start ${brokers} Kafka brokers`, () =>
    onFreePorts((tls === undefined ? 2 : 4) * brokers, (ports) =>
      startBrokers(classes, ports, { brokers, kafkaConfig, tls, context }),
    ),
  );
}

/**
 * A JVM that finds its classes parsed and checked in an archive starts a broker in half the time. The archive is written
 * by a broker that is started and stopped for it, once for each version of Kafka and Java. Without it all works, slower.
 */
async function classArchiveArguments(jars: string, context: NativeContext): Promise<readonly string[]> {
  const java = await javaVersion();
  const directory = cachedDirectory(`${KAFKA_JARS.name}-${KAFKA_JARS.version}-classes`, `java-${java}`);
  try {
    if (!isCached(directory)) {
      await context.progress.step('kafka', `prepare Kafka's classes for Java ${java}`, () =>
        fillCache(directory, context.watchdog, (temporary) => writeClassArchive(jars, temporary, context)),
      );
    }
    return [`-XX:SharedArchiveFile=${join(directory, CLASS_ARCHIVE)}`];
  } catch (error) {
    throwIfAborted(context.signal);
    context.progress.note('kafka', `goes on without: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  }
}

async function writeClassArchive(jars: string, directory: string, context: NativeContext): Promise<void> {
  const scratch = join(directory, 'scratch');
  const ofBrokers = [`-XX:ArchiveClassesAtExit=${join(directory, CLASS_ARCHIVE)}`];
  const classes = { jars, ofBrokers, ofTool: SHORT_LIFE };
  const { parts } = await onFreePorts(2, (ports) =>
    startBrokers(classes, ports, {
      brokers: 1,
      kafkaConfig: {},
      tls: undefined,
      context: { ...context, dataDir: scratch },
    }),
  );
  for (const part of parts) await part.stop();
  await rm(scratch, { recursive: true });
  if (!existsSync(join(directory, CLASS_ARCHIVE)))
    throw new StackError('SET_UP', 'This JVM wrote no archive of classes.');
}

async function startBrokers(
  classes: Classes,
  ports: readonly number[],
  deps: {
    readonly brokers: number;
    readonly kafkaConfig: Readonly<Record<string, string>>;
    readonly tls: TlsFiles | undefined;
    readonly context: NativeContext;
  },
): Promise<NativeKafka> {
  const { brokers, kafkaConfig, tls, context } = deps;
  const portsEach = ports.length / brokers;
  const plans = Array.from({ length: brokers }, (_, index): BrokerPlan => {
    const nodeId = index + 1;
    const name = `kafka-${nodeId}`;
    const [port = 0, controllerPort = 0, saslPort = 0, mutualPort = 0] = ports.slice(portsEach * index);
    // The first port is in the name, so that a second try with other ports begins with empty directories.
    const directory = join(context.dataDir, `${name}-${port}`);
    return { nodeId, name, port, controllerPort, saslPort, mutualPort, directory };
  });
  const clusterId = randomClusterId();
  await Promise.all(plans.map((plan) => formatStorage(plan, plans, { classes, clusterId, kafkaConfig, tls, context })));

  const addresses = plans.map(({ port }) => `${HOST}:${port}`);
  const parts = plans.map((plan) => {
    const address = `${HOST}:${plan.port}`;
    return new NativePart(
      {
        name: plan.name,
        process: {
          command: javaCommand(),
          args: [
            `-Xmx${kafkaHeapMiB(plans.length)}m`,
            ...classes.ofBrokers,
            ...classPath(plan),
            'kafka.Kafka',
            propertiesFile(plan),
          ],
          cwd: classes.jars,
          logFile: logFile(plan),
        },
        probe: () => probeBroker({ nodeId: plan.nodeId, address, peers: addresses.filter((peer) => peer !== address) }),
        startWithinMs: START_WITHIN_MS,
        stopWithinMs: STOP_WITHIN_MS,
      },
      context,
    );
  });
  const outcomes = await Promise.allSettled(parts.map((part) => part.start(context.signal)));
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure) {
    await Promise.all(parts.map((part) => part.kill()));
    throw failure.reason;
  }
  const secured = (portOf: (plan: BrokerPlan) => number): string[] =>
    tls === undefined ? [] : plans.map((plan) => `${HOST}:${portOf(plan)}`);
  return {
    brokers: addresses,
    saslBrokers: secured(({ saslPort }) => saslPort),
    mutualBrokers: secured(({ mutualPort }) => mutualPort),
    parts,
  };
}

async function formatStorage(
  plan: BrokerPlan,
  plans: readonly BrokerPlan[],
  deps: {
    readonly classes: Classes;
    readonly clusterId: string;
    readonly kafkaConfig: Readonly<Record<string, string>>;
    readonly tls: TlsFiles | undefined;
    readonly context: NativeContext;
  },
): Promise<void> {
  await mkdir(plan.directory, { recursive: true });
  await writeFile(propertiesFile(plan), brokerProperties(plan, plans, deps), { mode: 0o600 });
  await writeFile(join(plan.directory, LOG4J_FILE), LOG4J_PROPERTIES);
  await runCommand(
    {
      command: javaCommand(),
      args: [
        ...deps.classes.ofTool,
        ...classPath(plan),
        'kafka.tools.StorageTool',
        'format',
        '-t',
        deps.clusterId,
        '-c',
        propertiesFile(plan),
        ...(deps.tls === undefined ? [] : scramUsers(deps.tls)),
      ],
      cwd: deps.classes.jars,
      logFile: logFile(plan),
    },
    deps.context.watchdog,
    deps.context.signal,
  ).catch(async (error: unknown) => {
    if (error instanceof StackError && error.code === 'SET_UP') {
      const tail = await logTail(logFile(plan));
      throw new StackError('START', `${plan.name}: its storage could not be formatted.\n${tail}`, { cause: error });
    }
    throw error;
  });
}

function brokerProperties(
  plan: BrokerPlan,
  plans: readonly BrokerPlan[],
  { kafkaConfig, tls }: { readonly kafkaConfig: Readonly<Record<string, string>>; readonly tls: TlsFiles | undefined },
): string {
  const listeners = [
    `PLAINTEXT://${HOST}:${plan.port}`,
    ...(tls === undefined ? [] : [`SASL_SSL://${HOST}:${plan.saslPort}`, `SSL://${HOST}:${plan.mutualPort}`]),
  ];
  const settings = {
    ...kafkaSettings(plans.length),
    ...settingsOfNode(kafkaConfig, plan.nodeId),
    'process.roles': 'broker,controller',
    'node.id': String(plan.nodeId),
    'controller.quorum.voters': plans
      .map(({ nodeId, controllerPort }) => `${nodeId}@${HOST}:${controllerPort}`)
      .join(','),
    listeners: [`CONTROLLER://${HOST}:${plan.controllerPort}`, ...listeners].join(','),
    'advertised.listeners': listeners.join(','),
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL',
    ...(tls === undefined ? {} : tlsSettings(tls)),
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(plan.directory, 'data'),
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

/** SCRAM users are part of the cluster's metadata: the storage tool writes the first ones. */
function scramUsers({ client: { username }, password }: TlsFiles): string[] {
  return ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
    '--add-scram',
    `${mechanism}=[name=${username},password=${password}]`,
  ]);
}

const LOGIN_MODULES = 'org.apache.kafka.common.security';

function tlsSettings({ ca, server, client: { username }, password }: TlsFiles): Record<string, string> {
  const scram = `${LOGIN_MODULES}.scram.ScramLoginModule required;`;
  return {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': server,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': ca,
    'listener.name.ssl.ssl.client.auth': 'required',
    'listener.name.sasl_ssl.ssl.client.auth': 'requested',
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.sasl_ssl.plain.sasl.jaas.config': `${LOGIN_MODULES}.plain.PlainLoginModule required user_${username}="${password}";`,
    'listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config': scram,
    'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config': scram,
  };
}

const LOG4J_FILE = 'log4j2.properties';
const LOG4J_PROPERTIES = [
  'status=error',
  'rootLogger.level=warn',
  'rootLogger.appenderRef.stdout.ref=stdout',
  'appender.stdout.type=Console',
  'appender.stdout.name=stdout',
  'appender.stdout.layout.type=PatternLayout',
  'appender.stdout.layout.pattern=%d{ISO8601} %p %c{1} %m%n',
  '',
].join('\n');

/** The class path is relative to the directory of the jars: an archive of classes is for one class path, letter by letter. */
function classPath(plan: BrokerPlan): string[] {
  return [`-Dlog4j2.configurationFile=${join(plan.directory, LOG4J_FILE)}`, '-cp', CLASS_PATH];
}

function propertiesFile(plan: BrokerPlan): string {
  return join(plan.directory, 'server.properties');
}

function logFile(plan: BrokerPlan): string {
  return join(plan.directory, `${plan.name}.log`);
}

/** 16 random bytes as Kafka writes them; a leading `-` would look like an option to its tools. */
function randomClusterId(): string {
  for (;;) {
    const id = randomBytes(16).toString('base64url');
    if (!id.startsWith('-')) return id;
  }
}
