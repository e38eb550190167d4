import { beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';
import { internalModule } from '../../../../src/kafka/kafkajs/internals.js';
import { ask, connectionTo, fakeBroker } from './fakeBroker.js';

const HOUR_MS = 3_600_000;

beforeAll(repairKafkajs);

/** From now on the wall clock is wrong by so much. */
function setClock(byMs: number): void {
  const { now } = Date;
  const set = vi.spyOn(Date, 'now').mockImplementation(() => now.call(Date) + byMs);
  onTestFinished(() => set.mockRestore());
}

it('a request times out although the clock was set back', async () => {
  const { port } = await fakeBroker(() => setClock(-HOUR_MS));
  await expect(ask(connectionTo(port))).rejects.toThrow('timed out');
});

it('a request does not time out because the clock was set forward', async () => {
  const { port } = await fakeBroker((socket, answer) => {
    setClock(HOUR_MS);
    setTimeout(() => socket.write(answer), 300);
  });
  await expect(ask(connectionTo(port, 60_000))).resolves.toMatchObject({ errorCode: 0 });
});

it('a connection that was throttled goes on although the clock was set back', async () => {
  const { port } = await fakeBroker((socket, answer) => socket.write(answer));
  const connection = connectionTo(port);
  await ask(connection);
  connection.requestQueue.maybeThrottle(50);
  setClock(-HOUR_MS);
  await expect(ask(connection)).resolves.toMatchObject({ errorCode: 0 });
});

it('a connection that has nothing to send does not wake up', async () => {
  const { port } = await fakeBroker((socket, answer) => socket.write(answer));
  const connection = connectionTo(port);
  await ask(connection);
  expect(connection.requestQueue.throttleCheckTimeoutId).toBe(null);
});

it('heartbeats go on although the clock was set back', async () => {
  const ConsumerGroup = internalModule('consumer/consumerGroup') as new (options: object) => object;
  let beats = 0;
  const group = new ConsumerGroup({
    logger: { namespace: () => undefined },
    instrumentationEmitter: { emit: () => undefined },
  }) as { memberId: string; coordinator: object; heartbeat(options: { interval: number }): Promise<void> };
  group.memberId = 'member';
  group.coordinator = { heartbeat: () => Promise.resolve(beats++) };
  await group.heartbeat({ interval: 20 });
  setClock(-HOUR_MS);
  await expect
    .poll(async () => {
      await group.heartbeat({ interval: 20 });
      return beats;
    })
    .toBeGreaterThan(2);
});

it('metadata are fetched again when they are old, although the clock was set back', async () => {
  const BrokerPool = internalModule('cluster/brokerPool') as new (options: object) => object;
  const pool = new BrokerPool({ logger: { namespace: () => undefined }, metadataMaxAge: 20 }) as {
    findConnectedBroker: () => Promise<object>;
    seedBroker: object;
    refreshMetadataIfNecessary(topics: readonly string[]): Promise<void>;
  };
  let fetches = 0;
  const metadata = () => Promise.resolve({ fetched: fetches++, brokers: [], topicMetadata: [] });
  pool.seedBroker = { connectionPool: { host: 'a', port: 1 } };
  pool.findConnectedBroker = () => Promise.resolve({ metadata });
  await pool.refreshMetadataIfNecessary([]);
  await pool.refreshMetadataIfNecessary([]);
  expect(fetches).toBe(1);
  setClock(-HOUR_MS);
  await expect
    .poll(async () => {
      await pool.refreshMetadataIfNecessary([]);
      return fetches;
    })
    .toBe(2);
});
