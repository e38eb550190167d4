import { Command, Option, type CommanderError } from 'commander';
import type { CodecServerOptions } from './commands/codecServer/codecServer.js';
import type { ControlOptions } from './commands/control/control.js';
import type { ControlAction } from './protocol/batcher.js';
import { VERSION } from './lib/version.js';
import { LONG_HELP } from './longHelp.js';

/** The UI of Temporal's dev server. */
const DEFAULT_UI_ORIGINS = ['http://localhost:8233'];

const CONTROLS: Readonly<Record<ControlAction, string>> = {
  pause: 'let batchers accept records, but not flush them, until they are resumed',
  resume: 'let paused batchers flush again',
  flush: 'let batchers flush at once what they hold',
  drain: 'let batchers flush what they hold and end; the next record starts them again',
  park: 'give up the batch that a batcher cannot insert: what is not in the table goes to the dead-letter topic',
};

/**
 * All commands of `ktb`, with their options and help. `docs/commands.md` is generated from them. The code of a command
 * is loaded only when it is called: loading all of them takes a second of processor time.
 *
 * @param onExit ends the process after help, a version, or a wrong command line
 */
export function commandLine(onExit: (error: CommanderError) => never): Command {
  const program = new Command('ktb')
    .description(
      'Kafka records to ClickHouse rows through Temporal batchers: nothing lost, nothing twice, every record acknowledged.',
    )
    .version(VERSION)
    .showHelpAfterError('(ktb --help lists all commands)')
    .addHelpText('after', LONG_HELP.ktb)
    .exitOverride(onExit);

  program
    .command('run')
    .description('run the daemon until SIGTERM or Ctrl-C')
    .addOption(configOption())
    .addOption(
      new Option('--role <role>', 'consumer: Kafka to Temporal; worker: Temporal to ClickHouse')
        .choices(['both', 'consumer', 'worker'])
        .default('both'),
    )
    .addHelpText('after', LONG_HELP.run)
    .action(called(async () => (await import('./commands/run.js')).run));

  program
    .command('setup')
    .description('create the missing topics of the configuration and, with --from-sample, the missing tables')
    .addOption(configOption())
    .option('--dry-run', 'print what would be done, and do nothing', false)
    .option(
      '--from-sample <records>',
      'create each missing table, with columns that fit this many records of its topic',
      toCount,
    )
    .option('--partitions <count>', 'partitions of each topic that is created', toCount, 8)
    .addHelpText('after', LONG_HELP.setup)
    .action(called(async () => (await import('./commands/setup/setup.js')).setup));

  program
    .command('check')
    .description('check the configuration, each connection, topic and table, and the namespace, and say what to do')
    .addOption(configOption())
    .option('--json', 'print JSON', false)
    .addHelpText('after', LONG_HELP.check)
    .action(called(async () => (await import('./commands/check/check.js')).check));

  const config = program.command('config').description('validate and explain the configuration file, offline');
  config
    .command('validate')
    .description('list all problems of the configuration file')
    .addOption(configOption())
    .option('--json', 'print JSON', false)
    .action(called(async () => (await import('./commands/config.js')).validateConfig));
  config
    .command('schema')
    .description('print the JSON Schema of the configuration file')
    .action(called(async () => (await import('./commands/config.js')).printSchema));
  config
    .command('example')
    .description('print an example of a configuration file')
    .action(called(async () => (await import('./commands/config.js')).printExample));
  config
    .command('docs')
    .description('print every key, its default and what it is for')
    .action(called(async () => (await import('./commands/config.js')).printReference));

  program
    .command('status')
    .description('show the batchers, the members and the lag of each pipeline')
    .addOption(configOption())
    .option('--watch', 'print it again every 2 seconds, with rates, until Ctrl-C', false)
    .option('--json', 'print JSON; with --watch one line every 2 seconds', false)
    .addHelpText('after', LONG_HELP.status)
    .action(called(async () => (await import('./commands/status/status.js')).status));

  program
    .command('where')
    .description('find one record: its batcher, batch, row, acknowledgement or dead letter')
    .argument('<record>', 'as topic/partition/offset')
    .addOption(configOption())
    .option('--values', 'print the key and the value of the record, too', false)
    .option('--json', 'print JSON', false)
    .addHelpText('after', LONG_HELP.where)
    .action(called(async () => (await import('./commands/where/where.js')).where));

  program
    .command('reconcile')
    .description('compare what is committed with rows, dead letters and acknowledgements, and name what is missing')
    .argument('<pipeline>', 'pipeline of the configuration')
    .option(
      '--from <position>',
      'a time (2026-01-31T00:00:00Z), an offset, or earliest; default: the first offset that a batcher was given',
    )
    .option('--to <position>', 'a time or an offset, exclusive; default: the committed offset')
    .option('--partition <topic/number>', 'only this partition; may be repeated', collect, [])
    .addOption(configOption())
    .option('--json', 'print JSON', false)
    .addHelpText('after', LONG_HELP.reconcile)
    .action(called(async () => (await import('./commands/reconcile/reconcile.js')).reconcile));

  program
    .command('codec-server')
    .description('decode records for the Temporal UI and CLI, as their codec endpoint')
    .option('--listen <address:port>', 'address to listen on', '127.0.0.1:8081')
    .addOption(
      new Option(
        '--token <token>',
        'bearer token that requests must have; others on this machine can see it among the processes, so prefer a file or the variable',
      ).env('KTB_CODEC_TOKEN'),
    )
    .addOption(new Option('--token-file <file>', 'file that has this token').env('KTB_CODEC_TOKEN_FILE'))
    .option('--origin <url>', 'address of a Temporal UI whose pages may send requests; may be repeated', collect)
    .option(
      '--config <file>',
      'configuration whose keys decrypt (temporal.encryption); without it nothing is decrypted',
    )
    .option('--user-header <name>', 'header in which a proxy says who asks, for the log')
    .option('--oidc-issuer <url>', 'OpenID Connect issuer whose users may ask with their own access tokens')
    .option('--oidc-audience <name>', 'audience that these tokens must have')
    .option(
      '--oidc-allow <claim=value>',
      'only tokens with this value in this claim; may be repeated: one of them',
      collect,
    )
    .option('--oidc-user-claim <claim>', 'claim of these tokens that says who asks, for the log; default: sub')
    .option('--oidc-jwks <url>', "address of the issuer's keys; default: as its discovery document says")
    .addHelpText('after', LONG_HELP.codecServer)
    .action(async ({ origin = DEFAULT_UI_ORIGINS, ...options }: Partial<CodecServerOptions> & { listen: string }) => {
      const { codecServer } = await import('./commands/codecServer/codecServer.js');
      await codecServer({ ...options, origin });
    });

  for (const [action, description] of Object.entries(CONTROLS)) {
    const command = program
      .command(action)
      .description(description)
      .option('--pipeline <name>', 'only the batchers of this pipeline')
      .addOption(batcherOption(action as ControlAction))
      .option('--json', 'print JSON', false)
      .addOption(configOption())
      .addHelpText('after', LONG_HELP[action as ControlAction])
      .action(async (options: ControlOptions) => {
        const { control } = await import('./commands/control/control.js');
        await control(action as ControlAction, options);
      });
    if ((action as ControlAction) === 'park')
      command.option('--reason <text>', 'why; kept with the batcher, and part of each acknowledgement', oneLine, '');
    else command.requiredOption('--reason <text>', 'why; kept with the batcher, together with who and when', toReason);
  }

  program
    .command('rewind')
    .description('let the group read again from an earlier time or offset; its consumers must be stopped')
    .argument('<pipeline>', 'pipeline of the configuration')
    .requiredOption('--to <position>', 'a time (2026-01-31T00:00:00Z), an offset, or earliest')
    .option('--again', 'ingest the records again, as new ones; without it only what the table lacks is inserted', false)
    .option('--partition <topic/number>', 'only this partition', collect, [])
    .option('--dry-run', 'print what would be done, and do nothing', false)
    .addOption(configOption())
    .addHelpText('after', LONG_HELP.rewind)
    .action(called(async () => (await import('./commands/rewind.js')).rewind));

  const dlq = program
    .command('dlq')
    .description('show dead letters, and replay them')
    .addHelpText('after', LONG_HELP.dlq);
  dlq
    .command('list')
    .description('count the rejected records by reason')
    .argument('[pipeline]', 'pipeline of the configuration; default: all')
    .addOption(configOption())
    .option('--json', 'print JSON, one line for each pipeline', false)
    .action(called(async () => (await import('./commands/dlq/listDeadLetters.js')).listDeadLetters));

  dlq
    .command('show')
    .description('print dead letters as JSON lines')
    .argument('<pipeline>', 'pipeline of the configuration')
    .addOption(codeOption())
    .addOption(recordOption())
    .option('--limit <count>', 'print at most this many', toCount, 20)
    .option('--values', 'print the values and headers of the records, too', false)
    .addOption(configOption())
    .addHelpText('after', LONG_HELP.dlqShow)
    .action(called(async () => (await import('./commands/dlq/showDeadLetters.js')).showDeadLetters));

  dlq
    .command('replay')
    .description('send rejected records to their topics again; they become new records each time')
    .argument('<pipeline>', 'pipeline of the configuration')
    .addOption(codeOption())
    .addOption(recordOption())
    .option('--all', 'all records', false)
    .addOption(
      new Option('--after <partition/offset>', 'only those after this dead letter; may be repeated')
        .argParser(collect)
        .default([]),
    )
    .option('--dry-run', 'print what would be done, and do nothing', false)
    .addOption(configOption())
    .addHelpText('after', LONG_HELP.dlqReplay)
    .action(called(async () => (await import('./commands/dlq/replayDeadLetters.js')).replayDeadLetters));

  function toReason(text: string): string {
    const reason = oneLine(text);
    if (reason === '') program.error('--reason is empty: say why');
    return reason;
  }

  function toCount(text: string): number {
    const count = Number(text);
    if (!Number.isSafeInteger(count) || count < 1) program.error(`${text} is not a whole number from 1 on`);
    return count;
  }

  // These groups have no options that their commands have. So if somebody writes an option before the command, it
  // belongs after it.
  for (const group of [program, config, dlq])
    group.configureOutput({
      outputError: (text, write) => {
        const isMisplaced = text.startsWith('error: unknown option');
        write(
          isMisplaced
            ? `${text.trimEnd()}: options come after the command, as in \`ktb check --config ktb.yaml\`\n`
            : text,
        );
      },
    });
  return program;
}

function configOption(): Option {
  return new Option('-c, --config <file>', 'configuration file').env('KTB_CONFIG').default('ktb.yaml');
}

function codeOption(): Option {
  return new Option('--code <code>', 'only this rejection code; may be repeated').argParser(collect).default([]);
}

function recordOption(): Option {
  return new Option('--record <topic/partition/offset>', 'only this record, as it was read; may be repeated')
    .argParser(collect)
    .default([]);
}

/** A command whose file is loaded when it is called. */
function called<Arguments extends unknown[]>(
  load: () => Promise<(...args: Arguments) => unknown>,
): (...args: Arguments) => Promise<void> {
  return async (...args) => {
    const command = await load();
    await command(...args);
  };
}

/** A line break would tear tables that show the text. */
function oneLine(text: string): string {
  return text.trim().replace(/\s+/g, ' ');
}

/** Required by `park`: to leave it out must not give up batches of all batchers. */
function batcherOption(action: ControlAction): Option {
  const isRequired = action === 'park';
  const option = new Option(
    '--batcher <batcher>',
    `${isRequired ? 'the one whose batch is given up' : 'only this one'}: its index, or its workflow id; may be repeated`,
  ).argParser(collect);
  return isRequired ? option.makeOptionMandatory() : option.default([]);
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
