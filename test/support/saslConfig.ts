import { parse } from 'yaml';
import type { ConfigInput } from '../../src/config/schema.js';
import type { StackTls } from '../../stack/index.js';
import type { Fixture } from './fixture.js';

/** The configuration of a fixture's pipeline with a login at Kafka, over TLS. */
export function saslConfig(
  fixture: Fixture,
  tls: StackTls | undefined,
  sasl: (tls: StackTls) => NonNullable<NonNullable<ConfigInput['kafka']>['sasl']>,
): ConfigInput {
  if (tls === undefined) throw new Error('the stack has no TLS');
  const plain = parse(fixture.config()) as ConfigInput;
  return {
    ...plain,
    kafka: {
      ...plain.kafka,
      brokers: [...tls.kafka.saslBrokers],
      ssl: { ca: `\${file:${tls.ca}}` },
      sasl: sasl(tls),
    },
  };
}
