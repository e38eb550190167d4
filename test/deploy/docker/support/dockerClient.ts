import { execFile } from 'node:child_process';

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** Runs `docker` and gives back what it prints; fails with what it complains of. */
export type Docker = (...args: readonly string[]) => Promise<string>;

/** @param environment with PATH and, where the engine is not at the usual place, DOCKER_HOST */
export function dockerClient(environment: NodeJS.ProcessEnv): Docker {
  return (...args) =>
    new Promise((resolve, reject) => {
      execFile('docker', args, { env: environment, maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout.trim());
        else reject(new Error(`docker ${args.join(' ')}\n${stdout}\n${stderr}`, { cause: error }));
      });
    });
}
