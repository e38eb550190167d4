import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Progress } from './progress.js';
import { commandOutput, runCommand, type Watchdog } from './processes.js';
import { StackError } from './stack.js';
import { VERSIONS } from './versions.js';

/** The lowest Go that fetches the release a module asks for by itself. */
const GO_WITH_TOOLCHAINS = [1, 21] as const;

const APT_GET = '/usr/bin/apt-get';
const HAPROXY_IN_SBIN = '/usr/sbin/haproxy';

/** A tool of the machine that a part cannot do without. */
type Tool = 'java' | 'maven' | 'go' | 'haproxy' | 'openssl' | 'python';

/** Why a tool is needed, for the message that names it. */
export interface Need {
  readonly tool: Tool;
  readonly reason: string;
}

interface ToolFacts {
  readonly title: string;
  readonly found: () => Promise<boolean>;
  /** Debian packages, the first one that the machine's lists know is taken. */
  readonly packages: readonly string[];
  readonly advice: string;
}

const TOOLS: Readonly<Record<Tool, ToolFacts>> = {
  java: {
    title: `Java ${VERSIONS.java} or newer`,
    found: async () => (await javaRelease()) >= VERSIONS.java,
    packages: ['openjdk-21-jre-headless', 'openjdk-17-jre-headless'],
    advice: 'Debian, Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk',
  },
  maven: {
    title: 'Maven',
    found: async () => (await commandOutput('mvn', ['-v'])) !== undefined,
    packages: ['maven'],
    advice: 'Debian, Ubuntu: apt-get install maven; macOS: brew install maven',
  },
  haproxy: {
    title: 'haproxy',
    found: async () => (await commandOutput(haproxyCommand(), ['-v'])) !== undefined,
    packages: ['haproxy'],
    advice: 'Debian, Ubuntu: apt-get install haproxy; macOS: brew install haproxy',
  },
  openssl: {
    title: 'openssl',
    found: async () => (await commandOutput('openssl', ['version'])) !== undefined,
    packages: ['openssl'],
    advice: 'Debian, Ubuntu: apt-get install openssl; macOS: brew install openssl',
  },
  go: {
    title: `Go ${GO_WITH_TOOLCHAINS.join('.')} or newer`,
    found: async () => isRecentGo(await commandOutput('go', ['version'])),
    packages: [
      'golang-1.26-go',
      'golang-1.25-go',
      'golang-1.24-go',
      'golang-1.23-go',
      'golang-1.22-go',
      'golang-1.21-go',
    ],
    advice:
      `put a Temporal CLI ${VERSIONS.temporalCli} on the PATH, or install Go ${VERSIONS.goForTemporalCli} (an older one ` +
      'downloads it; the Go of Debian 12 is too old for that)',
  },
  python: {
    title: 'Python 3.10 or newer, with venv',
    found: async () => (await pythonVersion()) !== '',
    packages: ['python3-venv'],
    advice: 'Debian, Ubuntu: apt-get install python3-venv; macOS: brew install python',
  },
};

/**
 * Sees that tools are there. As root on Debian or Ubuntu what is missing is installed with apt-get; otherwise, and where
 * that does not help, one error names everything that is missing and what to do.
 *
 * @throws StackError PREREQUISITE
 */
export async function ensureTools(
  needs: readonly Need[],
  deps: {
    readonly progress: Progress;
    readonly watchdog: Watchdog;
    readonly dataDir: string;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  let missing = await missingOf(needs);
  if (missing.length === 0) return;
  let attempt = '';
  if (process.getuid?.() === 0 && existsSync(APT_GET) && existsSync('/etc/debian_version')) {
    attempt = await installWithApt(missing, deps);
    missing = await missingOf(needs);
    if (missing.length === 0) return;
  }
  const lines = missing.map(({ tool, reason }) => `  - ${TOOLS[tool].title}, ${reason}.\n    ${TOOLS[tool].advice}`);
  throw new StackError(
    'PREREQUISITE',
    ['The local stack needs, and does not find:', ...lines, ...(attempt ? [attempt] : [])].join('\n'),
  );
}

/** The command that starts haproxy; Debian installs it where only root looks. */
export function haproxyCommand(): string {
  return existsSync(HAPROXY_IN_SBIN) ? HAPROXY_IN_SBIN : 'haproxy';
}

/** For a JVM that lives for a minute: a compiler that optimizes, and a collector with threads of its own, cost it more than they save. */
export const SHORT_LIFE = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

/** The command that starts a JVM: the one of JAVA_HOME, else the one on the PATH. */
export function javaCommand(): string {
  const home = process.env['JAVA_HOME'];
  const command = home ? join(home, 'bin', 'java') : '';
  return command && existsSync(command) ? command : 'java';
}

async function missingOf(needs: readonly Need[]): Promise<Need[]> {
  const found = await Promise.all(needs.map(({ tool }) => TOOLS[tool].found()));
  return needs.filter((_, index) => !found[index]);
}

async function installWithApt(
  missing: readonly Need[],
  deps: {
    readonly progress: Progress;
    readonly watchdog: Watchdog;
    readonly dataDir: string;
    readonly signal?: AbortSignal;
  },
): Promise<string> {
  const logFile = join(deps.dataDir, 'apt-get.log');
  const aptGet = (step: string, args: readonly string[]): Promise<void> =>
    deps.progress.step('stack', step, () =>
      runCommand(
        { command: APT_GET, args, cwd: '/', env: { DEBIAN_FRONTEND: 'noninteractive' }, logFile },
        deps.watchdog,
        deps.signal,
      ),
    );
  try {
    await aptGet('read the package lists (apt-get update)', ['update']);
    const packages: string[] = [];
    for (const { tool } of missing) {
      const name = await packageToInstall(TOOLS[tool].packages);
      if (name) packages.push(name);
    }
    if (packages.length === 0) return '';
    // What is installed belongs to the machine and may be in use: nothing of it is upgraded.
    const options = ['-y', '--no-install-recommends', '--no-upgrade'];
    await aptGet(`install ${packages.join(', ')} (apt-get)`, ['install', ...options, ...packages]);
    return '';
  } catch (error) {
    if (error instanceof StackError && error.code !== 'ABORTED')
      return `Installing with apt-get did not work: ${error.message}`;
    throw error;
  }
}

/** The first package that the lists know, unless it is installed and only not found, which installing does not help. */
async function packageToInstall(names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const policy = await commandOutput('/usr/bin/apt-cache', ['policy', name]);
    if (policy && /Candidate: \d/.test(policy)) return policy.includes('Installed: (none)') ? name : undefined;
  }
  return undefined;
}

/** The version of the Java that {@link javaCommand} starts, such as `17.0.15`; empty when there is none. */
export async function javaVersion(): Promise<string> {
  const output = await commandOutput(javaCommand(), ['-version']);
  return /version "([^"]+)"/.exec(output ?? '')?.[1] ?? '';
}

/** Release of the Python that has what a virtual environment needs, such as `3.11`; empty where there is none. */
export async function pythonVersion(): Promise<string> {
  const script =
    'import sys, venv, ensurepip; assert sys.version_info >= (3, 10); print(*sys.version_info[:2], sep=".")';
  return (await commandOutput('python3', ['-c', script]))?.trim() ?? '';
}

async function javaRelease(): Promise<number> {
  const [major, minor] = (await javaVersion()).split('.');
  // Java 8 and below call themselves 1.8.
  return Number.parseInt((major === '1' ? minor : major) ?? '', 10) || 0;
}

function isRecentGo(output: string | undefined): boolean {
  const [, major, minor] = /go(\d+)\.(\d+)/.exec(output ?? '') ?? [];
  return (
    Number(major) > GO_WITH_TOOLCHAINS[0] ||
    (Number(major) === GO_WITH_TOOLCHAINS[0] && Number(minor) >= GO_WITH_TOOLCHAINS[1])
  );
}
