import { readFileSync, statSync, type Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

/** Reads a file of the configuration. Throws if it cannot be read, {@link whyUnreadable} says why. */
export type ReadText = (file: string) => string;

/** What files had that are no regular ones, by their paths. */
const readOnce = new Map<string, string>();

/** A file is neither regular nor known, so reading it may take for ever. */
class NotRegularError extends Error {
  override readonly name = 'NotRegularError';
}

/**
 * Reads a file when the process starts. A pipe (`<(…)`, `/dev/stdin`, the file of `sops exec-file`) gives its text only once, so
 * the text is kept.
 */
export function readFirst(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  if (isRegular(found)) return readFileSync(file, 'utf8');
  const text = readOnce.get(file) ?? readFileSync(file, 'utf8');
  readOnce.set(file, text);
  return text;
}

/** Reads a file while the daemon runs. A pipe has what it had at the start: to read it again could hold up the process for ever. */
export function readAgain(file: string): string {
  const known = readOnce.get(file);
  const found = statSync(file, { throwIfNoEntry: known === undefined });
  if (isRegular(found)) return readFileSync(file, 'utf8');
  if (known === undefined) throw new NotRegularError();
  return known;
}

/** As {@link readAgain}, for a regular file, without holding up the process. */
export async function lookAt(file: string): Promise<string> {
  if (!isRegular(await stat(file))) throw new NotRegularError();
  return readFile(file, 'utf8');
}

/** Whether a file can be read again, and then shows changes. One that is gone may come back. */
export function canBeFollowed(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? !readOnce.has(file) : found.isFile();
}

/** Why a file could not be read, to be put after its name. */
export function whyUnreadable(error: unknown): string {
  if (error instanceof NotRegularError) return 'is no regular file, and such a one is read only at the start';
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  if (code === 'ENOENT') return 'does not exist';
  return code === 'EACCES' ? 'may not be read by this user' : `cannot be read (${code})`;
}

function isRegular(found: Stats | undefined): boolean {
  return found?.isFile() ?? false;
}
