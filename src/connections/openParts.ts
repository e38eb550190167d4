import type { ClickHouseClient } from '@clickhouse/client';
import type { NativeConnection } from '@temporalio/worker';
import { splitAddress } from '../config/addresses.js';
import type { ClickHouseConfig, KafkaConfig, SaslConfig, TemporalConfig } from '../config/config.js';
import { serversOf } from '../clickhouse/servers.js';
import { GRPC_STATUS } from '../temporal/grpcStatus.js';
import { handshakeProblem } from './tlsHandshake.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { within } from '../lib/within.js';
import { messageOf } from '../lib/messageOf.js';
import { addressShown } from '../lib/whyNotFetched.js';
import { tokenErrorIn } from '../kafka/tokenErrors.js';
import { needsToken, tokensOf } from '../kafka/tokens.js';
import { isLoginRefusal } from '../kafka/userRefusal.js';

/** kafkajs tries for some 20 s, and says why only then. */
const KAFKA_WITHIN_MS = 6_000;

/** The port of an address of Temporal that names none. Addresses of brokers always have one. */
const TEMPORAL_PORT = 7233;

/**
 * Connects to Kafka.
 *
 * @throws Error that says what to do. A retry helps if the broker was away
 */
export async function reachKafka(
  admin: Pick<KafkaAdmin, 'connect' | 'describeTopics'>,
  kafka: KafkaConfig,
): Promise<void> {
  const { sasl, connectionTimeoutMs } = kafka;
  try {
    // Without a token kafkajs would try for long.
    if (needsToken(sasl)) await tokensOf(sasl, connectionTimeoutMs).current();
    // A broker that wants SASL says so only in answer to a request.
    await within(
      admin.connect().then(() => admin.describeTopics([])),
      KAFKA_WITHIN_MS,
    );
  } catch (error) {
    throw await kafkaProblem(kafka, error);
  }
}

/** Explains an error of Kafka's client. */
export async function kafkaProblem({ brokers, ssl, sasl }: KafkaConfig, error: unknown): Promise<Error> {
  const at = `Kafka at ${brokers.join(', ')}`;
  const ofToken = tokenErrorIn(error);
  if (ofToken !== null) return new Error(`${at} cannot be used without a token. ${ofToken.message}`);
  if (isLoginRefusal(error)) return new Error(`${at} ${refusal(sasl, messageOf(error))}`);
  const problems = await Promise.all(
    brokers.map((broker) => handshakeProblem({ ...splitAddress(broker, TEMPORAL_PORT), tls: ssl, key: 'kafka.ssl' })),
  );
  return new Error(
    explained(at, problems) ??
      `${at} does not answer (${messageOf(error)}); is it running, and are brokers, ssl and sasl right?`,
  );
}

function refusal(sasl: SaslConfig | null, reason: string): string {
  if (sasl?.mechanism === 'oauthbearer')
    return `refuses the token that ${addressShown(sasl.tokenUrl)} gives to client ${sasl.clientId} (${reason}): check that the brokers expect tokens of this server, with this audience and scope (kafka.sasl.audience, kafka.sasl.scope); their logs say why`;
  if (sasl?.mechanism === 'aws-msk-iam')
    return `refuses this identity of AWS (${reason}): check kafka.sasl.region, and that its policy allows kafka-cluster:Connect`;
  return `refuses user ${sasl?.username ?? ''} (${reason}): check kafka.sasl, its mechanism, username and password`;
}

/**
 * Connects to Temporal. Rejects like {@link reachKafka}. Temporal's client is loaded only here. That takes half a second
 * of processor time, and commands such as `ktb dlq` do not need it.
 */
export async function reachTemporal(temporal: TemporalConfig): Promise<NativeConnection> {
  const { connectTemporal } = await import('../temporal/connect.js');
  try {
    return await connectTemporal(temporal);
  } catch (error) {
    throw await temporalProblem(temporal, error);
  }
}

/** While it connects, the native client's errors have no code, only this message. */
const REFUSED_WHILE_CONNECTING = /does not have (valid authentication credentials|permission)/;

/** Explains an error of Temporal's client. */
export async function temporalProblem({ address, tls, apiKey }: TemporalConfig, error: unknown): Promise<Error> {
  const at = `Temporal at ${address}`;
  const { code } = error as { code?: number };
  if (
    code === GRPC_STATUS.unauthenticated ||
    code === GRPC_STATUS.permissionDenied ||
    REFUSED_WHILE_CONNECTING.test(messageOf(error))
  )
    return new Error(
      `${at} refuses ${apiKey === null ? 'a client without an API key' : 'the API key'} (${messageOf(error)}): check temporal.apiKey and temporal.namespace`,
    );
  const endpoint = { ...splitAddress(address, TEMPORAL_PORT), tls, key: 'temporal.tls', protocols: ['h2'] };
  return new Error(
    explained(at, [await handshakeProblem(endpoint)]) ??
      `${at} does not answer (${messageOf(error)}); is it running, and are address, tls and apiKey right?`,
  );
}

/** Error codes of ClickHouse, or of a proxy before it, for a refused user. */
const REFUSED_USER = /^(516|192|193|194)$/;

/** Makes sure that ClickHouse answers this user. If it has several servers, one of them is enough. Rejects like {@link reachKafka}. */
export async function reachClickHouse(client: ClickHouseClient, clickhouse: ClickHouseConfig): Promise<void> {
  const servers = serversOf(clickhouse);
  let url = servers.current;
  let answer = await client.ping({ select: true });
  for (let tried = 1; !answer.success && tried < servers.urls.length && servers.current !== url; tried++) {
    url = servers.current;
    answer = await client.ping({ select: true });
  }
  if (answer.success) return;
  const { username, accessToken, tls } = clickhouse;
  const reason = (messageOf(answer.error).split('\n')[0] ?? '').trim();
  const others = servers.urls.length === 1 ? '' : `, one of ${servers.urls.length} servers,`;
  const at = `ClickHouse at ${url}${others}`;
  const { code } = answer.error as { code?: string };
  if (code !== undefined && REFUSED_USER.test(code))
    throw new Error(
      accessToken === null
        ? `${at} refuses user ${username} (${reason}): check clickhouse.username and clickhouse.password`
        : `${at} refuses the access token (${reason}): check clickhouse.accessToken`,
    );
  const { hostname: host, port, protocol } = new URL(url);
  const secure = protocol === 'https:';
  const endpoint = {
    host: host.replace(/^\[|\]$/g, ''),
    port: Number(port === '' ? (secure ? 443 : 80) : port),
    tls: secure && (tls ?? true),
    key: 'clickhouse.tls',
  };
  const who = accessToken === null ? `user ${username}` : 'the access token';
  throw new Error(
    explained(at, [await handshakeProblem(endpoint)]) ??
      `${at} does not answer ${who} (${reason}); is it running, and are url, ${accessToken === null ? 'username and password' : 'accessToken'} right?`,
  );
}

function explained(at: string, problems: readonly (string | null)[]): string | null {
  const problem = problems.find((candidate) => candidate !== null);
  return problem === undefined ? null : `${at} cannot be used: ${problem}`;
}
