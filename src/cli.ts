#!/usr/bin/env node
import { guardTerminal } from './lib/controlCharacters.js';
import { hideHarmlessWarnings } from './lib/nodeWarnings.js';
import { runCommandLine } from './runCommandLine.js';

/**
 * Nobody reads the output any more, for example in `ktb dlq list | head`. A shell reports this code for a program that
 * SIGPIPE has ended.
 */
const EXIT_UNREAD = 141;

hideHarmlessWarnings();
guardTerminal(console);
// A variable that is set and empty counts as none, as in `KTB_CONFIG= ktb check`.
if (process.env['KTB_CONFIG'] === '') delete process.env['KTB_CONFIG'];
if (process.env['KTB_CODEC_TOKEN'] === '') delete process.env['KTB_CODEC_TOKEN'];
if (process.env['KTB_CODEC_TOKEN_FILE'] === '') delete process.env['KTB_CODEC_TOKEN_FILE'];
for (const output of [process.stdout, process.stderr])
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(EXIT_UNREAD);
  });

process.exitCode = await runCommandLine(process.argv.slice(2));
