import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { parseComparable, readConfig, readConfigAgain } from '../../../src/config/load.js';
import { canBeFollowed, readAgain } from '../../../src/config/textFiles.js';

/** A pipe that gives a text once, as `sops exec-file` and `<(…)` do. A second reader waits for ever. */
function pipeWith(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-pipe-'));
  const pipe = join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const writer = spawn('sh', ['-c', `printf %s "$TEXT" > "${pipe}"`], { env: { ...process.env, TEXT: text } });
  onTestFinished(async () => {
    writer.kill();
    if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit');
    rmSync(directory, { recursive: true });
  });
  return pipe;
}

const yaml = (more: string) => `${more}\npipelines: { orders: { topics: [orders], table: orders } }`;

it('a configuration in a pipe is read once, and not followed', async () => {
  const pipe = pipeWith(yaml(''));
  expect(readConfig(pipe)).toBe(yaml(''));
  expect(canBeFollowed(pipe)).toBe(false);
  expect([readConfig(pipe), readAgain(pipe)]).toEqual([yaml(''), yaml('')]);
  await expect(readConfigAgain(pipe)).rejects.toThrow(`${pipe} is no regular file`);
  rmSync(pipe);
  expect(canBeFollowed(pipe)).toBe(false);
});

it('a secret in a pipe stays what it was, and is no problem', async () => {
  const pipe = pipeWith('secret\n');
  const text = yaml(`http: { metricsToken: "\${file:${pipe}}" }`);
  const { config } = parseComparable(text, 'ktb.yaml', {});
  await Promise.resolve();
  expect(config.http.metricsToken).toBe('secret');
  expect(parseComparable(text, 'ktb.yaml', {}, readAgain).config.http.metricsToken).toBe('secret');
});

it('a pipe that comes later is not waited for', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-pipe-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'secret');
  writeFileSync(file, 'secret');
  const text = yaml(`http: { metricsToken: "\${file:${file}}" }`);
  const { config } = parseComparable(text, 'ktb.yaml', {});
  rmSync(file);
  execFileSync('mkfifo', [file]);
  await Promise.resolve();
  expect(config.http.metricsToken).toBe('secret');
  expect(() => parseComparable(text, 'ktb.yaml', {}, readAgain)).toThrow(`the secret file ${file} is no regular file`);
  await expect(readConfigAgain(file)).rejects.toThrow('is no regular file');
});

it('a regular file is followed, also while it is gone', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-pipe-'));
  const file = join(directory, 'ktb.yaml');
  writeFileSync(file, 'one');
  expect([readConfig(file), canBeFollowed(file)]).toEqual(['one', true]);
  writeFileSync(file, 'two');
  expect([readConfig(file), readAgain(file), await readConfigAgain(file)]).toEqual(['two', 'two', 'two']);
  rmSync(directory, { recursive: true });
  expect(canBeFollowed(file)).toBe(true);
  await expect(readConfigAgain(file)).rejects.toThrow('does not exist');
});
