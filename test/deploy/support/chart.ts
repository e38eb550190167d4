import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { VERSIONS } from '../../../stack/versions.js';
import { DEPLOY_TOOLS } from './tools.js';

export const CHART = fileURLToPath(new URL('../../../deploy/helm/kafka-temporal-bridge', import.meta.url));

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** A Kubernetes object, as far as these tests look into it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  // Looked into at many places: what is not there fails a test as undefined.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly spec?: any;
}

/** Names of the values files under ci/. */
export const CI_VALUES = readdirSync(join(CHART, 'ci')).filter((name) => name.endsWith('-values.yaml'));

export function ciFile(name: string): string {
  return join(CHART, 'ci', name);
}

/** What chart values are besides the default ones: files, and over them values as an object. */
export interface Values {
  readonly files?: readonly string[];
  readonly values?: object;
  /** Of the chart; default: the one of this repository. */
  readonly chart?: string;
  readonly kubeVersion?: string;
  /** Name of the release. */
  readonly release?: string;
}

/** Renders the chart. Rejects with Helm's own words. */
export async function render(values: Values): Promise<Manifest[]> {
  const text = await renderText(values);
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

/** As {@link render}, as Helm prints it. */
export function renderText({
  chart = CHART,
  kubeVersion = VERSIONS.kubernetes,
  release = 'demo',
  ...values
}: Values): Promise<string> {
  return helm(['template', release, chart, '--namespace', 'apps', '--kube-version', kubeVersion], values);
}

/** A copy of the chart, removed after the test, with one of its files made or changed. */
export async function changedChart(file: string, change: (text: string) => string): Promise<string> {
  const chart = await mkdtemp(join(tmpdir(), 'ktb-chart-'));
  onTestFinished(() => rm(chart, { recursive: true }));
  await cp(CHART, chart, { recursive: true });
  const path = join(chart, file);
  await writeFile(path, change(existsSync(path) ? await readFile(path, 'utf8') : ''));
  return chart;
}

/** NOTES.txt, as an installation prints it. `helm template` leaves it out, so an object takes it in. */
export async function renderNotes(values: Values): Promise<string> {
  const object = `
apiVersion: v1
kind: Notes
metadata: { name: notes }
data: { text: {{ include (print $.Template.BasePath "/NOTES.txt") . | toJson }} }
`;
  const chart = await changedChart('templates/notes.yaml', () => object);
  return one(await render({ ...values, chart }), 'Notes').data?.['text'] ?? '';
}

/** Values that are valid as they stand. */
export const MINIMAL = { files: [ciFile('minimal-values.yaml')] };

/** Renders the minimal values with others over them. */
export function renderWith(values: object): Promise<Manifest[]> {
  return render({ ...MINIMAL, values });
}

/** `helm lint --strict`. Rejects with what it found. */
export function lint(values: Values): Promise<string> {
  return helm(['lint', '--strict', CHART, '--kube-version', VERSIONS.kubernetes], values);
}

async function helm(args: readonly string[], { files = [], values }: Values): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-helm-'));
  try {
    const own = join(directory, 'values.yaml');
    if (values !== undefined) await writeFile(own, stringify(values));
    const all = [...files, ...(values === undefined ? [] : [own])];
    return await run(DEPLOY_TOOLS.helm, [...args, ...all.flatMap((file) => ['--values', file])]);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Runs a command to its end, with an input and with more environment variables. Rejects with its output where it fails. */
export function run(
  command: string,
  args: readonly string[],
  { input, env = {} }: { readonly input?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { maxBuffer: OUTPUT_BYTES_MAX, env: { ...process.env, ...env } };
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${stdout}${stderr}`));
    });
    child.stdin?.end(input);
  });
}

/** The only object of a kind, or the one of that name. */
export function one(manifests: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = all(manifests, kind).filter(({ metadata }) => name === undefined || metadata.name === name);
  const [manifest] = found;
  if (manifest === undefined || found.length > 1)
    throw new Error(`there are ${found.length} ${kind} ${name ?? ''}, of ${namesOf(manifests).join(', ')}`);
  return manifest;
}

export function all(manifests: readonly Manifest[], kind: string): Manifest[] {
  return manifests.filter((manifest) => manifest.kind === kind);
}

/** `Deployment/demo`, sorted. */
export function namesOf(manifests: readonly Manifest[]): string[] {
  return manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();
}
