import type { ClickHouseClient } from '@clickhouse/client';
import type { Client } from '@temporalio/client';
import type { Kafka } from 'kafkajs';
import { ClickHouseTables } from '../../clickhouse/tables.js';
import { createClickHouse, createLookUps } from '../../clickhouse/clients.js';
import type { Config } from '../../config/config.js';
import type { Decoders } from '../../formats/decoders.js';
import { createAdmin, type KafkaAdmin } from '../../kafka/admin.js';
import { createKafka } from '../../kafka/clients.js';
import { reachKafka, reachTemporal } from '../../connections/openParts.js';
import { createLogger } from '../../telemetry/logging.js';

/** Kafka's clients for a command. They log only errors and are not connected yet. */
export function kafkaOf({ kafka, log }: Pick<Config, 'kafka' | 'log'>): Kafka {
  return createKafka(kafka, createLogger({ ...log, level: 'error' }));
}

/**
 * Runs `work` with a connection to Kafka. If Kafka cannot be reached, it rejects with an error that says what to do.
 */
export async function withKafka<T>(config: Config, work: (kafka: Kafka, admin: KafkaAdmin) => Promise<T>): Promise<T> {
  const kafka = kafkaOf(config);
  const admin = createAdmin(kafka);
  try {
    await reachKafka(admin, config.kafka);
    return await work(kafka, admin);
  } finally {
    await admin.disconnect();
  }
}

/** Runs `work` with the decoders of the schema registry, which is asked only when a schema is needed. Undefined: there is none. */
export async function withDecoders<T>(
  { schemaRegistry }: Pick<Config, 'schemaRegistry'>,
  work: (decoders: Decoders | undefined) => Promise<T>,
): Promise<T> {
  if (schemaRegistry === null) return work(undefined);
  const [{ Decoders }, { SchemaRegistry }] = await Promise.all([
    import('../../formats/decoders.js'),
    import('../../formats/schemaRegistry.js'),
  ]);
  const registry = new SchemaRegistry(schemaRegistry);
  try {
    return await work(new Decoders(registry));
  } finally {
    registry.close();
  }
}

/** Like {@link withKafka}, with Temporal. */
export async function withTemporal<T>({ temporal }: Config, work: (client: Client) => Promise<T>): Promise<T> {
  const connection = await reachTemporal(temporal);
  try {
    const { createTemporalClient } = await import('../../temporal/connect.js');
    return await work(createTemporalClient(connection, temporal));
  } finally {
    await connection.close();
  }
}

/**
 * Runs `work` with a client of ClickHouse and its tables. The connection is not tried before. Look-ups of rows have the
 * daemon's time-out.
 */
export async function withTables<T>(
  { clickhouse }: Pick<Config, 'clickhouse'>,
  work: (tables: ClickHouseTables, client: ClickHouseClient) => Promise<T>,
): Promise<T> {
  const client = createClickHouse(clickhouse);
  const lookUps = createLookUps(clickhouse);
  try {
    return await work(new ClickHouseTables(client, clickhouse.database, clickhouse.settings, lookUps), client);
  } finally {
    await Promise.all([client.close(), lookUps.client.close()]);
  }
}
