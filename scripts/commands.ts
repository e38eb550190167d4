import type { Argument, Command, Option } from 'commander';
import { commandLine } from '../src/commandLine.js';

/** The reference of the commands in Markdown: their options and what `--help` says. Made from the definitions themselves. */
export function commandsReference(): string {
  const program = commandLine((error) => {
    throw error;
  });
  const all = program.commands.flatMap((command) => [command, ...command.commands]);
  const index = all.map(
    (command) => `| [\`${nameOf(command)}\`](#${anchorOf(command)}) | ${escaped(command.description())} |`,
  );
  const sections = all.flatMap((command) => section(command));
  return [longHelp(program), '', '| command | |', '|---|---|', ...index, '', ...sections].join('\n');
}

function section(command: Command): string[] {
  const parameters = [
    ...command.registeredArguments.map((argument) => argumentRow(argument)),
    ...command.options.filter(({ hidden }) => !hidden).map((option) => optionRow(option)),
  ];
  const table = parameters.length === 0 ? [] : ['| | default | |', '|---|---|---|', ...parameters, ''];
  const usage = command.commands.length > 0 ? [] : [`\`${nameOf(command)} ${command.usage()}\``, ''];
  const heading = `${'#'.repeat(depthOf(command) + 1)} ${nameOf(command)}`;
  return [heading, '', sentence(command.description()), '', ...usage, ...table, longHelp(command), ''];
}

function argumentRow(argument: Argument): string {
  const name = argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
  return `| \`${name}\` | ${argument.required ? 'required' : ''} | ${escaped(argument.description)} |`;
}

function optionRow({ flags, description, argChoices, envVar, mandatory, defaultValue }: Option): string {
  const choices = argChoices === undefined ? '' : ` One of ${argChoices.map((choice) => `\`${choice}\``).join(', ')}.`;
  const standards = [envVar && `\`${envVar}\``, mandatory ? 'required' : standardOf(defaultValue)].filter(
    (text) => text,
  );
  return `| \`${flags}\` | ${standards.join(', else ')} | ${escaped(description)}${choices && `.${choices}`} |`;
}

function standardOf(value: unknown): string {
  const isShown = typeof value === 'number' || (typeof value === 'string' && value !== '');
  return isShown ? `\`${value}\`` : '';
}

/** What help says after the options, as Markdown. */
function longHelp(command: Command): string {
  let printed = '';
  command.configureOutput({ writeOut: (text) => (printed += text), getOutHelpWidth: () => 80 });
  command.outputHelp();
  const text = printed.slice(command.helpInformation().length).trimEnd();
  return blocksOf(text)
    .map((block) => (block.startsWith('  ') ? fenced(block) : marked(block)))
    .join('\n\n');
}

/** Paragraphs, and what is indented as a whole; the lines of a list belong together. */
function blocksOf(text: string): string[] {
  return text.split(/\n{2,}/).flatMap((block) => (block.trim() === '' ? [] : [block.replace(/^\n+/, '')]));
}

function fenced(block: string): string {
  const lines = block.split('\n').map((line) => line.slice(2));
  const isShell = /^(ktb|KTB_\w+=)/.test(lines[0] ?? '');
  return [isShell ? '```sh' : '```text', ...lines, '```'].join('\n');
}

/** Options, codes and keys of the configuration as code; pages of `docs/` as links. */
function marked(text: string): string {
  return escaped(text)
    .replace(
      /docs\/([\w-]+\.md)(#[\w-]+)?/g,
      (page, file: string, anchor = '') => `[${page}](${file}${String(anchor)})`,
    )
    .replace(/(?<![\w`[(/-])(--[a-z][a-z-]*|[a-z]+\.[a-z]+[A-Z]\w*)/g, '`$1`');
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '\\<');
}

function sentence(text: string): string {
  const plain = escaped(text);
  return `${plain.charAt(0).toUpperCase()}${plain.slice(1)}.`;
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}

function depthOf(command: Command): number {
  return command.parent === null ? 0 : depthOf(command.parent) + 1;
}

function anchorOf(command: Command): string {
  return nameOf(command).replaceAll(' ', '-');
}
