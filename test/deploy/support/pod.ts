import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Manifest } from './chart.js';

/** Contents of Secrets and ConfigMaps that are in the cluster already: name to key to text. */
export type Contents = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The daemon's container as it would find itself in a pod. */
export interface Container {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Absolute path to text. */
  readonly files: ReadonlyMap<string, string>;
}

interface PodSpec {
  readonly containers: readonly {
    readonly name: string;
    readonly args: readonly string[];
    readonly env: readonly {
      readonly name: string;
      readonly value?: string;
      readonly valueFrom?: { readonly secretKeyRef: { readonly name: string; readonly key: string } };
    }[];
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  }[];
  readonly volumes: readonly {
    readonly name: string;
    readonly configMap?: { readonly name: string };
    readonly projected?: {
      readonly sources: readonly { readonly secret?: Projection; readonly configMap?: Projection }[];
    };
  }[];
}

interface Projection {
  readonly name: string;
  readonly items: readonly { readonly key: string; readonly path: string }[];
}

/**
 * What the container `ktb` of a Deployment, a Job or a pod gets from the manifests beside it and from what is in the cluster already.
 * As a kubelet does, it refuses a Secret, ConfigMap or key that does not exist.
 */
export function containerOf(workload: Manifest, manifests: readonly Manifest[], existing: Contents): Container {
  const own = workload.spec as PodSpec & { readonly template?: { readonly spec: PodSpec } };
  const spec = own.template?.spec ?? own;
  const container = spec.containers.find(({ name }) => name === 'ktb');
  if (container === undefined) throw new Error(`${workload.metadata.name} has no container ktb`);
  const contents: Contents = {
    ...existing,
    ...Object.fromEntries(
      manifests
        .filter(({ kind }) => kind === 'ConfigMap' || kind === 'Secret')
        .map(({ metadata, data }) => [metadata.name, data ?? {}]),
    ),
  };
  const textOf = (name: string, key: string): string => {
    const text = contents[name]?.[key];
    if (text === undefined) throw new Error(`there is no ${key} in ${name}`);
    return text;
  };
  const environment = Object.fromEntries(
    container.env.map(({ name, value, valueFrom }) => [
      name,
      valueFrom === undefined ? (value ?? '') : textOf(valueFrom.secretKeyRef.name, valueFrom.secretKeyRef.key),
    ]),
  );
  const files = new Map<string, string>();
  for (const { name, mountPath } of container.volumeMounts) {
    const volume = spec.volumes.find((candidate) => candidate.name === name);
    if (volume === undefined) throw new Error(`there is no volume ${name}`);
    const { configMap, projected } = volume;
    for (const [key, text] of Object.entries(configMap === undefined ? {} : (contents[configMap.name] ?? {})))
      files.set(join(mountPath, key), text);
    for (const source of projected?.sources ?? []) {
      const projection = source.secret ?? source.configMap;
      for (const { key, path } of projection?.items ?? [])
        files.set(join(mountPath, path), textOf(projection?.name ?? '', key));
    }
  }
  return { args: container.args, environment, files };
}

/**
 * Puts a container's files below a directory, and has everything that names them name them there: so that the daemon can
 * be started, or its configuration be loaded, outside a pod.
 */
export async function placeBelow(directory: string, { args, environment, files }: Container): Promise<Container> {
  const folders = new Set([...files.keys()].map((path) => dirname(path)));
  const relocate = (text: string): string =>
    [...folders].reduce((result, folder) => result.replaceAll(`${folder}/`, `${join(directory, folder)}/`), text);
  const placed = new Map([...files].map(([path, text]) => [join(directory, path), relocate(text)]));
  for (const [path, text] of placed) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  const entries = Object.entries(environment).map(([name, value]) => [name, relocate(value)]);
  return {
    args: args.map(relocate),
    environment: Object.fromEntries(entries) as Record<string, string>,
    files: placed,
  };
}
