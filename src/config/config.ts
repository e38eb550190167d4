import type { ColumnSource } from '../protocol/columnSource.js';
import type { Layout } from '../protocol/layout.js';
import { holdsObjects, type BatcherSettings, type Mapping } from '../protocol/settings.js';
import { brokersOf, splitAddress } from './addresses.js';
import { connectionsNeeded } from '../lib/clickhouseConnections.js';
import { parseKey } from '../lib/encryptionKey.js';
import { destinationTable } from './destinationTable.js';
import type { ParsedConfig } from './schema.js';
import { isTopicPattern, topicPattern, type TopicChoice } from './topics.js';

/** The configuration as the program uses it. Names carry their units. */
export interface Config {
  /** Null if it has to be found out. */
  readonly installation: string | null;
  readonly kafka: KafkaConfig;
  readonly temporal: TemporalConfig;
  readonly clickhouse: ClickHouseConfig;
  /** Null if there is none. */
  readonly schemaRegistry: SchemaRegistryConfig | null;
  /** A running daemon keeps these objects, and may change some of their values. */
  readonly pipelines: readonly PipelineConfig[];
  readonly worker: { readonly maxConcurrentFlushes: number };
  readonly http: HttpConfig;
  readonly log: LogConfig;
  readonly shutdownDeadlineMs: number;
}

export interface HttpConfig {
  readonly host: string;
  readonly port: number;
  /** What `/metrics` wants as a bearer token. Null: it is open. */
  readonly metricsToken: string | null;
  /** Where the Temporal SDK serves its own metrics, as `ip:port`. Null: nowhere. */
  readonly temporalListen: string | null;
}

export interface KafkaConfig {
  /** Addresses like `host:port` or `[IPv6]:port`, each only once. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** The rack from whose replicas records are fetched. Null: from the leaders. */
  readonly rackId: string | null;
  readonly ssl: TlsConfig | boolean;
  readonly sasl: SaslConfig | null;
  readonly connectionTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly sessionTimeoutMs: number;
}

export type SaslConfig = PasswordSasl | TokenSasl | AwsSasl;

export interface PasswordSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  readonly password: string;
}

/** A login with a token that an authorization server gives to this client. */
export interface TokenSasl {
  readonly mechanism: 'oauthbearer';
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope?: string | undefined;
  readonly audience?: string | undefined;
}

/** A login at Amazon MSK with an identity of AWS, found as the AWS SDK does. */
export interface AwsSasl {
  readonly mechanism: 'aws-msk-iam';
  readonly region: string;
  readonly roleArn?: string | undefined;
}

/** PEM texts. */
export interface TlsConfig {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly serverName?: string | undefined;
}

export interface TemporalConfig {
  readonly address: string;
  readonly namespace: string;
  readonly taskQueue: string;
  readonly tls: TlsConfig | boolean;
  readonly apiKey: string | null;
  readonly requestTimeoutMs: number;
  readonly encryption: EncryptionConfig;
}

/** How payloads are encrypted. Without keys nothing is encrypted, and nothing that is encrypted can be read. */
export interface EncryptionConfig {
  /** Keys of 32 bytes, by their ids. */
  readonly keys: ReadonlyMap<string, Uint8Array>;
  /** The id of the key that encrypts. Null: none. */
  readonly active: string | null;
  /** Whether batchers take only signals that are encrypted for them. */
  readonly required: boolean;
}

export interface ClickHouseConfig {
  /** One, or several replicas of which the first one is used as long as it answers. */
  readonly urls: readonly string[];
  readonly username: string;
  readonly password: string;
  /** Used in place of user and password. */
  readonly accessToken: string | null;
  /** For an https address. Null trusts the public authorities. */
  readonly tls: TlsConfig | null;
  readonly database: string;
  readonly requestTimeoutMs: number;
  readonly lookUpTimeoutMs: number;
  readonly maxConnections: number;
  /** Settings for every insert. None of those on which the guarantees rest. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
}

export interface SchemaRegistryConfig {
  readonly url: string;
  readonly username: string | null;
  readonly password: string;
  /** Used in place of user and password. */
  readonly token: string | null;
  /** For an https address. Null trusts the public authorities. */
  readonly tls: TlsConfig | null;
  readonly requestTimeoutMs: number;
}

export interface LogConfig {
  /** A running daemon may get another one, see `LiveConfig`. */
  level: 'debug' | 'info' | 'warn' | 'error';
  readonly format: 'auto' | 'json' | 'pretty';
}

export interface PipelineConfig extends TopicChoice {
  readonly name: string;
  readonly groupId: string;
  /** Whether the configuration names the group. Otherwise it is `ktb-<pipeline>`. */
  readonly isGroupNamed: boolean;
  readonly startFrom: StartFrom;
  readonly onGap: 'continue' | 'halt';
  readonly layout: Layout;
  /** A running daemon may get other ones, see `LiveConfig`. So it is read where it is used, and not kept. */
  signal: SignalLimits;
  readonly flow: FlowLimits;
  /** Bytes of memory that records waiting in the consumer may take. */
  readonly bufferedBytesMax: number;
  /** The settings that the batchers get. Like {@link signal}, not to be kept. */
  settings: BatcherSettings;
}

/** Where a partition without a committed offset starts. */
export type StartFrom = 'earliest' | 'latest' | { readonly timestampMs: number };

export interface SignalLimits {
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** How long the first record of a signal that is not full waits for others. */
  readonly lingerMs: number;
  /** The same, if several members send to a batcher. */
  readonly sharedLingerMs: number;
}

export interface FlowLimits {
  readonly historyBytesMax: number;
  readonly checkEveryBytes: number;
}

/**
 * Connection settings from Temporal's own environment variables (`TEMPORAL_*`). They are used for what the file does
 * not set.
 */
export type TemporalEnvironment = Partial<Pick<TemporalConfig, 'address' | 'namespace' | 'tls' | 'apiKey'>>;

/** Turns a parsed file into the configuration. Every default that depends on another value is decided here. */
export function toConfig(parsed: ParsedConfig, environment: TemporalEnvironment = {}): Config {
  const { kafka, temporal, clickhouse, worker, http, log, shutdown } = parsed;
  const apiKey = temporal.apiKey ?? environment.apiKey ?? null;
  return {
    installation: parsed.installation ?? null,
    kafka: {
      brokers: [...new Set(kafka.brokers.flatMap(brokersOf))],
      clientId: kafka.clientId,
      rackId: kafka.rackId ?? null,
      ssl: kafka.ssl,
      // The schema has made sure that it has the keys of its mechanism.
      sasl: (kafka.sasl ?? null) as SaslConfig | null,
      connectionTimeoutMs: kafka.connectionTimeout,
      requestTimeoutMs: kafka.requestTimeout,
      sessionTimeoutMs: kafka.sessionTimeout,
    },
    temporal: {
      address: temporal.address ?? environment.address ?? 'localhost:7233',
      namespace: temporal.namespace ?? environment.namespace ?? 'default',
      taskQueue: temporal.taskQueue,
      // A key must not be sent without TLS by mistake.
      tls: temporal.tls ?? environment.tls ?? apiKey !== null,
      apiKey,
      requestTimeoutMs: temporal.requestTimeout,
      encryption: encryptionOf(parsed.temporal.encryption),
    },
    clickhouse: {
      urls: clickhouse.urls ?? [clickhouse.url ?? 'http://localhost:8123'],
      username: clickhouse.username,
      password: clickhouse.password,
      accessToken: clickhouse.accessToken ?? null,
      tls: clickhouse.tls ?? null,
      database: clickhouse.database,
      requestTimeoutMs: clickhouse.requestTimeout,
      lookUpTimeoutMs: clickhouse.lookUpTimeout,
      maxConnections:
        clickhouse.maxConnections ??
        connectionsNeeded(worker.maxConcurrentFlushes, Object.keys(parsed.pipelines).length),
      settings: clickhouse.settings,
    },
    schemaRegistry: schemaRegistryOf(parsed),
    pipelines: pipelineConfigs(parsed),
    worker,
    http: {
      // The schema has made sure that there is a port.
      ...splitAddress(http.listen, 0),
      metricsToken: http.metricsToken ?? null,
      temporalListen: http.temporalListen ?? null,
    },
    log,
    shutdownDeadlineMs: shutdown.deadline,
  };
}

/** The pipelines of a parsed file. Pure. */
export function pipelineConfigs(parsed: Pick<ParsedConfig, 'pipelines' | 'temporal'>): PipelineConfig[] {
  const pipelines = Object.entries(parsed.pipelines);
  const ownTopics = new Set(pipelines.flatMap(([name, pipeline]) => outputTopics(name, pipeline)));
  return pipelines.map(([name, pipeline]) => withEncryption(toPipelineConfig(name, pipeline, ownTopics), parsed));
}

/** Pure. Undefined: there is none. */
export function encryptionOf(encryption: ParsedConfig['temporal']['encryption']): EncryptionConfig {
  const { keys = {}, active = null, required = false } = encryption ?? {};
  // The schema has made sure that they are keys.
  const entries = Object.entries(keys).map(([id, text]) => [id, parseKey(text) ?? new Uint8Array(0)] as const);
  return { keys: new Map(entries), active, required };
}

/** Batchers are told what they may take. */
function withEncryption(
  pipeline: PipelineConfig,
  { temporal: { encryption } }: Pick<ParsedConfig, 'temporal'>,
): PipelineConfig {
  if (encryption?.required !== true) return pipeline;
  return { ...pipeline, settings: { ...pipeline.settings, encryption: 'required' } };
}

function schemaRegistryOf({ schemaRegistry: parsed }: ParsedConfig): SchemaRegistryConfig | null {
  if (parsed === undefined) return null;
  const { url, username = null, password, token = null, tls = null, requestTimeout } = parsed;
  return { url, username, password, token, tls, requestTimeoutMs: requestTimeout };
}

/**
 * The bytes are those at which the server suggests it by default (`limit.historySize.suggestContinueAsNew`). By events
 * it suggests 4,096. A run continues sooner, between 256 and 512, because a worker that takes it over has to replay it
 * within one workflow task, and records wait for that: half a millisecond of processor time for an event. Small batches
 * fill a run: ten events each, so that a continuation comes with some 40 of them. Large ones reach the bytes first.
 */
const CONTINUE_AS_NEW_AT = { historyBytes: 4 * 1024 * 1024, historyEvents: 512 };

function toPipelineConfig(name: string, pipeline: ParsedPipeline, ownTopics: ReadonlySet<string>): PipelineConfig {
  const { topics, groupId, startFrom, onGap, batchers, shardBy, batch, signal, flow } = pipeline;
  return {
    name,
    topics: topics.filter((topic) => !isTopicPattern(topic)),
    topicPatterns: topics.filter(isTopicPattern).flatMap((text) => topicPattern(text) ?? []),
    ownTopics,
    groupId: groupId ?? `ktb-${name}`,
    isGroupNamed: groupId !== undefined,
    startFrom: startFrom === 'earliest' || startFrom === 'latest' ? startFrom : { timestampMs: Date.parse(startFrom) },
    onGap,
    layout: { batchers, keyFunction: shardBy, ...(isByTopic(pipeline) ? { keyless: 'topic' } : {}) },
    signal: {
      maxRecords: Math.min(signal.maxRecords, batch.maxRecords),
      maxBytes: Math.min(signal.maxBytes, batch.maxBytes),
      ...lingerOf(signal.linger, batch.maxDelay),
    },
    flow: { historyBytesMax: flow.maxHistory, checkEveryBytes: flow.checkEvery },
    bufferedBytesMax: pipeline.maxBuffered,
    settings: settingsOf(name, pipeline),
  };
}

/** The settings that the batchers of a pipeline get. */
export function settingsOf(name: string, pipeline: ParsedPipeline): BatcherSettings {
  const { batch, signal, flow, insert, reply } = pipeline;
  const mapping = mappingOf(pipeline);
  return {
    pipeline: name,
    continueAsNewAt: {
      historyBytes: Math.min(CONTINUE_AS_NEW_AT.historyBytes, flow.maxHistory / 2),
      historyEvents: CONTINUE_AS_NEW_AT.historyEvents,
    },
    batch: {
      maxRecords: batch.maxRecords,
      maxBytes: batch.maxBytes,
      maxDelayMs: batch.maxDelay,
      ...(signal.linger === 0 ? {} : { storesOnce: true }),
    },
    destination: {
      ...destinationTable(pipeline, mapping),
      columns: valueColumn(pipeline),
      mapping,
      ...(reply === undefined ? {} : { reply }),
      ...(insert.retryFor === Infinity ? {} : { retryForMs: insert.retryFor }),
      ...(insert.views === 'required' ? { views: insert.views } : {}),
      deadLetterTopic: deadLetterTopicOf(name, pipeline),
    },
  };
}

function mappingOf(pipeline: ParsedPipeline): Mapping {
  const { format, unknownFields, evolve, tombstones, avro, protobuf, key, where, envelope, debezium } = pipeline;
  return {
    format,
    unknownFields,
    ...evolutionOf(evolve),
    // Debezium writes one after each deletion, for the log's compaction.
    tombstones: envelope === undefined ? tombstones : 'skip',
    ...(envelope === undefined
      ? {}
      : { envelope: { type: envelope, version: 'offset', truncates: 'reject', ...debezium } }),
    ...(avro === undefined ? {} : { avro }),
    ...(protobuf === undefined ? {} : { protobuf }),
    ...(key === undefined || key.format === 'bytes' ? {} : { key: { format: key.format } }),
    ...(where === undefined ? {} : { where: [where].flat() }),
  };
}

function evolutionOf(evolve: ParsedPipeline['evolve']): Pick<Mapping, 'evolve'> {
  const {
    mode,
    maxColumns: columnsMax,
    withViews,
  } = typeof evolve === 'object' ? evolve : { mode: evolve, maxColumns: 100, withViews: false };
  return mode === 'off' ? {} : { evolve: { mode, columnsMax, ...(withViews ? { withViews } : {}) } };
}

/**
 * Records wait in the lane for others, where waiting costs nothing, and a batcher flushes at once what has waited for
 * `batch.maxDelay`. They wait no longer than that, whatever is set. Of several members each would cause flushes of its
 * own: they wait for half of the time, and what they send meets in the batcher in the other half.
 */
function lingerOf(linger: number | undefined, maxDelayMs: number): Pick<SignalLimits, 'lingerMs' | 'sharedLingerMs'> {
  const lingerMs = Math.min(linger ?? LINGER_MAX_MS, maxDelayMs);
  return { lingerMs, sharedLingerMs: linger === undefined ? lingerMs / 2 : Math.min(linger, maxDelayMs / 2) };
}

/** What waits in a lane is read again after a rebalance, so it does not wait for long. */
const LINGER_MAX_MS = 1_000;

type ParsedPipeline = ParsedConfig['pipelines'][string];

/** With one topic the partition's number is enough. Then the layout stays the one of version 0.1.0. */
function isByTopic({ keyless, topics }: ParsedPipeline): boolean {
  if (keyless !== undefined) return keyless === 'topic';
  return topics.length > 1 || topics.some(isTopicPattern);
}

/** The topic for a pipeline's rejected records. */
export function deadLetterTopicOf(name: string, { topics: [first = name], deadLetter }: ParsedPipeline): string {
  return deadLetter.topic ?? `${isTopicPattern(first) ? name : first}.dead-letters`;
}

function outputTopics(name: string, pipeline: ParsedPipeline): string[] {
  const { reply } = pipeline;
  return [...(reply === undefined ? [] : [reply.topic, ...reply.allowTopics]), deadLetterTopicOf(name, pipeline)];
}

/** A rule that says no more than a text does is the text, as version 0.1.0 knows it. */
function toSource(source: ParsedPipeline['columns'][string]): ColumnSource {
  if (typeof source === 'string') return source;
  const { from, first = [], constant, unit, required, default: standard } = source;
  const sources = from === undefined ? first : [from];
  if (constant !== undefined) return { constant };
  const [only] = sources;
  const isPlain = unit === undefined && required !== true && standard === undefined;
  if (isPlain && only !== undefined && sources.length === 1) return only;
  return {
    first: sources,
    ...(unit === undefined ? {} : { unit }),
    ...(required === true ? { required } : {}),
    ...(standard === undefined ? {} : { default: standard }),
  };
}

/** The mapping of columns. If values are not objects, it includes a column for the value itself. */
function valueColumn({ format, columns }: ParsedPipeline): Readonly<Record<string, ColumnSource>> {
  const isTaken = holdsObjects(format) || Object.values(columns).includes('value');
  const sources = Object.entries(columns).map(([column, source]) => [column, toSource(source)] as const);
  return Object.fromEntries<ColumnSource>(isTaken ? sources : [...sources, ['value', 'value']]);
}
