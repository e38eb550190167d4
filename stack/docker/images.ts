import { getContainerRuntimeClient, getReaper, ImageName } from 'testcontainers';
import type { Progress } from '../progress.js';
import type { PartName } from '../stack.js';
import { VERSIONS } from '../versions.js';

const OFFICIAL: Readonly<Record<PartName, { readonly variable: string; readonly image: string }>> = {
  kafka: { variable: 'KTB_STACK_KAFKA_IMAGE', image: `apache/kafka:${VERSIONS.kafka}` },
  temporal: { variable: 'KTB_STACK_TEMPORAL_IMAGE', image: `temporalio/temporal:${VERSIONS.temporalCli}` },
  clickhouse: { variable: 'KTB_STACK_CLICKHOUSE_IMAGE', image: `clickhouse/clickhouse-server:${VERSIONS.clickhouse}` },
};

/** The image of a part: the official one, or what its variable in the environment says. */
export function imageOf(name: PartName): string {
  const { variable, image } = OFFICIAL[name];
  const chosen = process.env[variable];
  return chosen === undefined || chosen === '' ? image : chosen;
}

/**
 * Sees that a Docker engine answers and that it has the images, pulling what is missing.
 *
 * @returns why not, or undefined if all is there
 */
export async function ensureImages(names: ReadonlySet<PartName>, progress: Progress): Promise<string | undefined> {
  const failure = (what: string, error: unknown): string =>
    `${what}: ${error instanceof Error ? error.message : String(error)}`;
  const client = await getContainerRuntimeClient().catch((error: unknown) =>
    failure('no Docker engine answers', error),
  );
  if (typeof client === 'string') return client;
  for (const name of names) {
    const image = ImageName.fromString(imageOf(name));
    try {
      if (await client.image.exists(image)) continue;
      await progress.step(name, `pull ${image.string}`, () => client.image.pull(image));
    } catch (error) {
      return failure(`${image.string} could not be pulled`, error);
    }
  }
  try {
    // The container that removes all others when this process is killed.
    await getReaper(client);
  } catch (error) {
    return failure("testcontainers' clean-up container could not be started", error);
  }
  return undefined;
}
