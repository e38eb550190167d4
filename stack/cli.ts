/** `npm run stack`: keeps a stack up for a person, or for a program that reads its addresses (`--json`), until Ctrl-C. */
import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import {
  reportProgress,
  StackError,
  startStack,
  type PartName,
  type Stack,
  type StackOptions,
  type StackTls,
} from './index.js';
import { untilAsked } from './untilAsked.js';

interface Flags {
  readonly brokers: '1' | '3';
  readonly flavour: NonNullable<StackOptions['flavour']>;
  readonly only?: readonly PartName[];
  readonly ui: boolean;
  readonly tls?: true;
  readonly json?: true;
  readonly config?: string;
}

const PARTS: readonly PartName[] = ['kafka', 'temporal', 'clickhouse'];

const program = new Command('stack')
  .description('Starts real Kafka, Temporal and ClickHouse, prints where they are, and stops them at Ctrl-C.')
  .addOption(new Option('--brokers <number>', 'Kafka brokers').choices(['1', '3']).default('1'))
  .addOption(
    new Option('--flavour <flavour>', 'as containers, as processes, or what works here')
      .choices(['auto', 'native', 'docker'])
      .default('auto'),
  )
  .addOption(new Option('--only <parts...>', 'start only these').choices(PARTS))
  .option('--no-ui', "without Temporal's web UI")
  .option('--tls', 'with TLS and credentials for everything, too (native; needs haproxy and openssl)')
  .option('--json', 'print one line of JSON with the addresses when all is up; the progress goes to standard error')
  .option('--config <file>', 'write the addresses into a file as the beginning of a ktb.yaml');

program.parse();
await main(program.opts<Flags>());

async function main(flags: Flags): Promise<void> {
  const { signal, asked } = untilAsked();
  const reporter = reportProgress();
  let stack: Stack;
  try {
    stack = await startStack({
      brokers: flags.brokers === '3' ? 3 : 1,
      flavour: flags.flavour,
      ui: flags.ui,
      ...(flags.tls ? { tls: true } : {}),
      ...(flags.only ? { only: flags.only } : {}),
      onProgress: reporter.onProgress,
      signal,
    });
  } catch (error) {
    reporter.close();
    console.error(error instanceof StackError ? error.message : error);
    process.exitCode = 1;
    return;
  }
  const addresses = addressesOf(stack, new Set(flags.only ?? PARTS));
  if (flags.config) await writeFile(flags.config, configurationOf(addresses));
  reporter.close();
  console.log(flags.json ? JSON.stringify(addresses) : describe(addresses, flags.config));

  await asked();
  console.error('\nStopping ...');
  await stack.stop();
  console.error('All stopped, all data removed.');
}

interface Addresses {
  readonly kafka?: Stack['kafka'];
  readonly temporal?: Stack['temporal'];
  readonly clickhouse?: Stack['clickhouse'];
  readonly tls?: StackTls;
  readonly flavour: Stack['flavour'];
  readonly dataDir: string;
  /** Processes of this machine by part; empty lists in the docker flavour. */
  readonly pids: Readonly<Record<string, readonly number[]>>;
}

function addressesOf(stack: Stack, names: ReadonlySet<PartName>): Addresses {
  const parts = [
    ...(names.has('kafka') ? stack.parts.kafka : []),
    ...(names.has('temporal') ? [stack.parts.temporal] : []),
    ...(names.has('clickhouse') ? [stack.parts.clickhouse] : []),
  ];
  return {
    ...(names.has('kafka') ? { kafka: stack.kafka } : {}),
    ...(names.has('temporal') ? { temporal: stack.temporal } : {}),
    ...(names.has('clickhouse') ? { clickhouse: stack.clickhouse } : {}),
    ...(stack.tls === undefined ? {} : { tls: stack.tls }),
    flavour: stack.flavour,
    dataDir: stack.dataDir,
    pids: Object.fromEntries(parts.map(({ name, pids }) => [name, pids])),
  };
}

function describe(addresses: Addresses, configFile: string | undefined): string {
  const { kafka, temporal, clickhouse, tls } = addresses;
  const lines: string[] = [''];
  if (kafka) {
    const brokers = kafka.brokers.join(',');
    lines.push(`Kafka        ${brokers}`, `             kcat -b ${brokers} -L`);
  }
  if (temporal) {
    lines.push(`Temporal     ${temporal.address}`, `             temporal workflow list --address ${temporal.address}`);
    if (temporal.uiUrl) lines.push(`Temporal UI  ${temporal.uiUrl}`);
  }
  if (clickhouse) {
    lines.push(`ClickHouse   ${clickhouse.url}`, `             curl '${clickhouse.url}' -d 'SELECT version()'`);
  }
  if (tls) {
    lines.push(
      '',
      `With TLS; certificates and secrets in ${dirname(tls.ca)}`,
      `Kafka        ${tls.kafka.saslBrokers.join(',')}  SASL: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512`,
      `             ${tls.kafka.mutualBrokers.join(',')}  client certificate`,
      `Temporal     ${tls.temporal.apiKeyAddress}  API key`,
      `             ${tls.temporal.mutualAddress}  client certificate`,
      `ClickHouse   ${tls.clickhouse.url}  password, or access token`,
      `             ${tls.clickhouse.mutualUrl}  the same, with client certificate`,
      '',
      'The beginning of a ktb.yaml:',
      '',
      configurationOf(addresses).trimEnd(),
    );
  }
  if (configFile) lines.push('', `The addresses are in ${configFile}.`);
  lines.push('', 'Ctrl-C stops everything and removes its data.');
  return lines.join('\n');
}

/** The first sections of a ktb.yaml. */
function configurationOf({ kafka, temporal, clickhouse, tls }: Addresses): string {
  if (tls) return stringify(securedConfiguration(tls), { lineWidth: 0 });
  return stringify({
    ...(kafka ? { kafka: { brokers: kafka.brokers } } : {}),
    ...(temporal ? { temporal: { address: temporal.address, namespace: 'default' } } : {}),
    ...(clickhouse
      ? { clickhouse: { url: clickhouse.url, username: clickhouse.username, database: clickhouse.database } }
      : {}),
  });
}

/** SCRAM, mutual TLS and a password; the other ways are in {@link StackTls}. */
function securedConfiguration({
  ca,
  cert,
  key,
  username,
  passwordFile,
  kafka,
  temporal,
  clickhouse,
}: StackTls): object {
  const text = (file: string): string => `\${file:${file}}`;
  return {
    kafka: {
      brokers: kafka.saslBrokers,
      ssl: { ca: text(ca) },
      sasl: { mechanism: 'scram-sha-512', username, password: text(passwordFile) },
    },
    temporal: {
      address: temporal.mutualAddress,
      namespace: 'default',
      tls: { ca: text(ca), cert: text(cert), key: text(key) },
    },
    clickhouse: { url: clickhouse.url, username, password: text(passwordFile), tls: { ca: text(ca) } },
  };
}
