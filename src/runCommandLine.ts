import { commandLine } from './commandLine.js';
import { UsageError } from './lib/usageError.js';

/** Exit codes; also in `ktb --help`. */
const EXIT_FAILED = 1;
const EXIT_CONFIG = 2;

/** After help, a version, or a wrong command line: all of it is said. */
class Said extends Error {
  override readonly name = 'Said';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('said');
    this.exitCode = exitCode;
  }
}

/**
 * Runs a command line of `ktb` to its end. It prints what goes wrong.
 *
 * @param args without Node and its script
 * @returns the exit code of the process. `ktb run` ends the process itself
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const program = commandLine((error) => {
    throw new Said(error.exitCode === 0 ? 0 : EXIT_CONFIG);
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    // A command that did its work and found something wrong has set it.
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof Said) return error.exitCode;
    console.error(error instanceof Error ? error.message : error);
    return error instanceof UsageError ? EXIT_CONFIG : EXIT_FAILED;
  }
}
