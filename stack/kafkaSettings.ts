/** Broker settings that both flavours share, by their names in server.properties. */
export function kafkaSettings(brokers: number): Readonly<Record<string, string>> {
  const replicas = String(brokers);
  // Of three copies two must agree, so that one broker can be away and nothing is lost.
  const inSync = brokers === 1 ? '1' : '2';
  return {
    'auto.create.topics.enable': 'false',
    'default.replication.factor': replicas,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'share.coordinator.state.topic.num.partitions': '1',
    // The broker waits 3 s for more members of a new group: a test would wait with it.
    'group.initial.rebalance.delay.ms': '0',
    // A killed broker is noticed after this time, and only then can it come back; the default is 9 s.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    // 128 MiB of heap by default.
    'log.cleaner.dedupe.buffer.size': '4194304',
  };
}

/** Heap of each broker, MiB. */
export function kafkaHeapMiB(brokers: number): number {
  return brokers === 1 ? 512 : 320;
}

/** Settings in which `{node}` stands for the broker's number, such as `broker.rack: rack-{node}`. */
export function settingsOfNode(config: Readonly<Record<string, string>>, nodeId: number): Record<string, string> {
  return Object.fromEntries(
    Object.entries(config).map(([name, value]) => [name, value.replaceAll('{node}', String(nodeId))]),
  );
}
