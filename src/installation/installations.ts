import { randomBytes } from 'node:crypto';
import type { Config } from '../config/config.js';
import { mapConcurrently } from '../lib/mapConcurrently.js';
import { ownTaskQueue, type Installation } from '../protocol/installation.js';
import { PAYLOAD_BYTES_MAX } from '../protocol/payloadLimit.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { withPayloadLimit } from '../temporal/namespaceLimit.js';
import { completeClaim, CLAIM_FORMAT, derivedName, judgeClaim, placeIds, type Claim, type Evidence } from './claim.js';
import { databaseClaim, pipelineClaim, taskQueueClaim, type Claims, type StoredClaim } from './claims.js';
import { judgeGroups, type Claimer, type GroupJudgement, type GroupUse } from './judgeGroups.js';

export interface InstallationsOptions {
  readonly config: Pick<Config, 'pipelines' | 'installation'> & { readonly temporal: { readonly taskQueue: string } };
  readonly claims: Pick<Claims, 'read' | 'create' | 'replace'>;
  /** The evidence of each pipeline, by its name. Rejects if Kafka or ClickHouse does not answer. */
  readonly evidence: () => Promise<ReadonlyMap<string, Evidence>>;
  readonly groupUse: GroupUse;
  /**
   * Whether this process may write a name that it finds out into a claim. A consumer alone may not, because it has not
   * asked ClickHouse. A configured name is always written.
   */
  readonly mayName: boolean;
  /** The most bytes that Temporal takes in one payload. Default: Temporal's own default. */
  readonly payloadBytesMax?: number;
}

/** How long answers of {@link Installations.ofOther} are remembered. */
const OTHERS_KEPT_MS = 15_000;
/**
 * A pipeline that was another installation's is left alone for this long after its claim is gone. The other one, if it
 * runs, looks every minute, and claims it again.
 */
const LEFT_ALONE_MS = 90_000;
/** Attempts to write a claim, at most. Several members may replace it at the same time. */
const ATTEMPTS_MAX = 20;
const FREE_GROUPS: GroupJudgement = { problems: new Map(), last: new Set() };

/**
 * Some pipelines belong to another installation, or it cannot be told yet. A later try helps if these pipelines are given
 * back, or once a consumer has claimed them; otherwise the configuration has to change.
 */
export class OtherInstallationError extends Error {
  override readonly name = 'OtherInstallationError';
}

/**
 * Knows which installation each pipeline belongs to, from the claims in Temporal, see {@link Claim}. {@link settle}
 * claims what nobody has claimed yet. Nothing of a pipeline may be read, sent or inserted before it has resolved once.
 */
export class Installations {
  readonly #options: InstallationsOptions;
  readonly #byPipeline = new Map<string, Installation>();
  /** By pipeline, what its batchers get, and what that was made of. */
  readonly #settings = new Map<
    string,
    { readonly configured: BatcherSettings; readonly installation: Installation | null; readonly sent: BatcherSettings }
  >();
  /** Pipelines that belong to another installation, with the time since when their claim is gone. Null while it is not. */
  readonly #ofOthers = new Map<string, number | null>();
  /** Once it is, this process's own consumers use the groups, also if Temporal loses the claims. */
  #isSettled = false;
  #evidence: ReadonlyMap<string, Evidence> = new Map();
  readonly #others = new Map<string, { readonly untilMs: number; readonly found: Promise<Claim | null> }>();

  readonly #mayName: boolean;

  constructor(options: InstallationsOptions) {
    this.#options = options;
    this.#mayName = options.mayName || options.config.installation !== null;
  }

  /**
   * Claims the pipelines of the configuration, or finds that this installation has claimed them already.
   *
   * @throws OtherInstallationError that says what to do, for all pipelines at once
   */
  async settle(): Promise<void> {
    const { config, claims } = this.#options;
    const evidence = await this.#findEvidence();
    const problems: string[] = [];
    // In the same order everywhere. Otherwise two installations that start together could get a part each, and neither
    // could begin.
    const pipelines = config.pipelines.map(({ name }) => name).sort();
    const mine = await mapConcurrently(pipelines, async (name) => {
      return { name, evidence: evidence.get(name) ?? EMPTY_CLAIM, stored: await claims.read(pipelineClaim(name)) };
    });
    const names = mine.flatMap(({ stored }) => stored?.claim.installation?.name ?? []);
    const unclaimed = mine.flatMap(({ name, stored }) => (stored === null ? name : []));
    const groups = this.#isSettled
      ? FREE_GROUPS
      : await judgeGroups(unclaimed, this.#options.groupUse, claimerOf(claims, config, evidence, names));
    for (const { name, evidence: found, stored } of mine) {
      const problem =
        stored === null ? await this.#unclaimedProblem(name, groups) : this.#problem(name, stored.claim, found, names);
      if (problem !== null) problems.push(problem);
      else if (stored?.claim.installation) this.#byPipeline.set(name, stored.claim.installation);
    }
    if (problems.length > 0) throw new OtherInstallationError(problems.join('; '));
    // If this breaks off, the next try still has the proof for those that are left.
    const ordered = [
      ...mine.filter(({ name }) => !groups.last.has(name)),
      ...mine.filter(({ name }) => groups.last.has(name)),
    ];
    const shared = new Map<string, Claim>();
    for (const { name, evidence: found, stored } of ordered) {
      const claim = await this.#claim(name, found, stored);
      if (this.#mayName) this.#addShared(shared, claim, found);
    }
    // Temporal may have lost them. One that exists stays as it is. If a process dies in between, the next one writes the
    // rest.
    for (const [name, claim] of shared) await claims.create(name, claim);
    this.#isSettled = true;
  }

  /** A process that has settled needs no new evidence to keep what it has, or to claim it again. */
  async #findEvidence(): Promise<ReadonlyMap<string, Evidence>> {
    try {
      this.#evidence = await this.#options.evidence();
    } catch (error) {
      if (!this.#isSettled) throw error;
    }
    return this.#evidence;
  }

  async #claim(pipeline: string, evidence: Evidence, known: StoredClaim | null): Promise<Claim> {
    const { claims } = this.#options;
    const mayName = this.#mayName;
    const name = pipelineClaim(pipeline);
    let stored = known;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const claimed = stored?.claim.installation ?? null;
      const installation = claimed ?? (mayName ? await this.#own(pipeline, evidence) : null);
      const claim = completeClaim(stored?.claim ?? { ...EMPTY_CLAIM, ...evidence }, installation, evidence);
      const isStored = stored !== null && (stored.claim === claim || !mayName);
      if (
        isStored ||
        (stored === null ? await claims.create(name, claim) : await claims.replace(name, stored, claim))
      ) {
        if (installation !== null) this.#byPipeline.set(pipeline, installation);
        this.#ofOthers.delete(pipeline);
        return claim;
      }
      stored = await claims.read(name);
      const names = [...this.#byPipeline.values()].map((known) => known.name);
      const problem = this.#problem(pipeline, stored?.claim ?? null, evidence, names);
      if (problem !== null) throw new OtherInstallationError(problem);
    }
    throw new Error(`the claim of pipeline ${pipeline} changes all the time`);
  }

  /**
   * The installation that this process writes into a claim: the pipeline's own, if the claim is gone, or that of its
   * other pipelines, or the one that has its Kafka and ClickHouse, or a new one. Several processes may ask at the same
   * time, with other pipelines each. Only one of them creates the claim of the task queue, or of the database, and the
   * others find it.
   */
  async #own(pipeline: string, evidence: Evidence): Promise<Installation> {
    const { config, claims } = this.#options;
    const [first] = this.#byPipeline.values();
    const known = this.of(pipeline) ?? first;
    if (known !== undefined) return known;
    let found = await findInstallation(claims, config, evidence);
    if (found.own !== null) return found.own;
    const { taskQueue } = config.temporal;
    const name = config.installation ?? derivedName(taskQueue, evidence) ?? randomBytes(4).toString('hex');
    if (found.owner === null) {
      const fresh = { name, taskQueue };
      if (await claims.create(taskQueueClaim(taskQueue), claimOf(fresh, evidence))) return fresh;
      found = await findInstallation(claims, config, evidence);
      if (found.own !== null) return found.own;
    }
    const further = { name, taskQueue: ownTaskQueue(taskQueue, name) };
    const [database] = databaseClaims(taskQueue, evidence);
    // Without an id two processes that start together cannot find each other.
    if (database !== undefined && (await claims.create(database, claimOf(further, evidence)))) return further;
    return (await findInstallation(claims, config, evidence)).own ?? further;
  }

  /**
   * Adds the claims by which configurations with other pipelines find this installation: that of the task queue if it
   * uses it as it is, and one for each id that its ClickHouse is known to have.
   */
  #addShared(shared: Map<string, Claim>, claim: Claim, evidence: Evidence): void {
    const { installation } = claim;
    if (installation === null) return;
    const { taskQueue } = this.#options.config.temporal;
    const here = idsHere(claim, evidence);
    const names = databaseClaims(taskQueue, here);
    if (installation.taskQueue === taskQueue) names.push(taskQueueClaim(taskQueue));
    for (const name of names) if (!shared.has(name)) shared.set(name, claimOf(installation, here));
  }

  /** Why a pipeline that nobody has claimed is not claimed. Null if it may be. */
  async #unclaimedProblem(pipeline: string, { problems }: GroupJudgement): Promise<string | null> {
    const nowMs = performance.now();
    const goneSinceMs = this.#ofOthers.get(pipeline);
    if (goneSinceMs !== undefined && nowMs - (goneSinceMs ?? nowMs) < LEFT_ALONE_MS) {
      this.#ofOthers.set(pipeline, goneSinceMs ?? nowMs);
      return `pipeline ${pipeline} belonged to another installation until its claim was removed: this process claims it if the other one has not claimed it again after ${LEFT_ALONE_MS / 1000} s`;
    }
    const found = problems.get(pipeline);
    // Members of this installation may have claimed the pipeline since it was read, and use the group.
    if (found === undefined || (await this.#options.claims.read(pipelineClaim(pipeline))) !== null) return null;
    return `${found.message}: ${found.todo}`;
  }

  /** @param names see {@link setName} */
  #problem(pipeline: string, claim: Claim | null, evidence: Evidence, names: readonly string[]): string | null {
    if (claim === null) return null;
    const judgement = judgeClaim(claim, this.#options.config.installation, evidence, true);
    if (judgement.same) {
      this.#ofOthers.delete(pipeline);
      return null;
    }
    // Its own name stays its own, also if its Kafka or ClickHouse became another one.
    const own = this.of(pipeline)?.name;
    if (own !== undefined && own === claim.installation?.name) this.#ofOthers.delete(pipeline);
    else this.#ofOthers.set(pipeline, null);
    const { message, todo } = otherInstallation(pipeline, claim, judgement.because, names);
    return `${message}. Two installations must not share it: ${todo}`;
  }

  /** The installation of a pipeline. Null if no worker has claimed the pipeline yet. */
  of(pipeline: string): Installation | null {
    return this.#byPipeline.get(pipeline) ?? null;
  }

  /**
   * The task queues whose activities this process does. There are several only if pipelines of several installations
   * were put together.
   */
  get taskQueues(): readonly string[] {
    return [...new Set([...this.#byPipeline.values()].map(({ taskQueue }) => taskQueue))];
  }

  /**
   * Asked before anything of a pipeline is sent. A claim may have gone to another installation while this one runs, for
   * example after Temporal has lost its data. What is not sent stays in Kafka.
   *
   * @throws OtherInstallationError if the pipeline belongs to another installation now
   */
  mustHave(pipeline: string): void {
    if (this.#ofOthers.has(pipeline))
      throw new OtherInstallationError(`pipeline ${pipeline} belongs to another installation now`);
  }

  /**
   * The settings for a pipeline's batchers. It is the same object until the pipeline's installation or its configured settings
   * change.
   */
  settingsOf({
    name,
    settings: configured,
  }: {
    readonly name: string;
    readonly settings: BatcherSettings;
  }): BatcherSettings {
    const installation = this.of(name);
    const known = this.#settings.get(name);
    if (known?.configured === configured && known.installation === installation) return known.sent;
    const limited = withPayloadLimit(configured, this.#options.payloadBytesMax ?? PAYLOAD_BYTES_MAX);
    const sent = installation === null ? limited : { ...limited, installation };
    this.#settings.set(name, { configured, installation, sent });
    return sent;
  }

  /**
   * Whether work for a pipeline belongs to another installation.
   *
   * @param named the installation that the work names. Undefined in work of versions that named none: then the
   *   pipeline's claim decides
   * @returns null if it is this installation's work; otherwise its installation, or `unknown` if nobody has claimed the
   *   pipeline
   */
  async ofOther(pipeline: string, named: string | undefined): Promise<Pick<Installation, 'name'> | 'unknown' | null> {
    const own = new Set([...this.#byPipeline.values()].map(({ name }) => name));
    if (named !== undefined) return own.has(named) ? null : { name: named };
    if (this.#byPipeline.has(pipeline) && !this.#ofOthers.has(pipeline)) return null;
    const claimed = (await this.#claimOf(pipeline))?.installation ?? null;
    if (claimed === null) return 'unknown';
    return own.has(claimed.name) ? null : claimed;
  }

  /**
   * Whether a pipeline is claimed. Asked about pipelines that this configuration does not have. They may belong to
   * another installation, to other workers of this one, or to consumers whose workers have not started yet.
   */
  async isClaimed(pipeline: string): Promise<boolean> {
    return (await this.#claimOf(pipeline)) !== null;
  }

  #claimOf(pipeline: string): Promise<Claim | null> {
    const nowMs = performance.now();
    const known = this.#others.get(pipeline);
    if (known !== undefined && nowMs < known.untilMs) return known.found;
    const found = this.#options.claims.read(pipelineClaim(pipeline)).then((stored) => stored?.claim ?? null);
    this.#others.set(pipeline, { untilMs: nowMs + OTHERS_KEPT_MS, found });
    found.catch(() => this.#others.delete(pipeline));
    return found;
  }
}

/**
 * Finds the installation that has this Kafka and this ClickHouse, by the claims of the task queue and of the database.
 * Rejects if Temporal does not answer.
 *
 * @returns `own`, null if there is none yet, and the claim of the first installation of the task queue, null if the task
 *   queue has none yet
 */
export async function findInstallation(
  claims: Pick<Claims, 'read'>,
  {
    installation: configured,
    temporal: { taskQueue },
  }: Pick<InstallationsOptions['config'], 'installation' | 'temporal'>,
  evidence: Evidence,
): Promise<{ readonly own: Installation | null; readonly owner: Claim | null }> {
  const owner = (await claims.read(taskQueueClaim(taskQueue)))?.claim ?? null;
  const isSame = (claim: Claim): boolean => judgeClaim(claim, configured, evidence, false).same;
  if (owner !== null && isSame(owner)) return { own: owner.installation, owner };
  for (const name of databaseClaims(taskQueue, evidence)) {
    const claim = (await claims.read(name))?.claim ?? null;
    if (claim !== null && isSame(claim)) return { own: claim.installation, owner };
  }
  return { own: null, owner };
}

/**
 * The installation that would claim the pipelines of a configuration that nobody has claimed.
 *
 * @param evidence by pipeline
 * @param names the installations of all claimed pipelines of the configuration
 */
export function claimerOf(
  claims: Pick<Claims, 'read'>,
  config: Parameters<typeof findInstallation>[1],
  evidence: ReadonlyMap<string, Evidence>,
  names: readonly string[],
): Claimer {
  const { installation: configured } = config;
  return {
    configured,
    is: async (pipeline, { name, taskQueue }) => {
      if (configured !== null) return configured === name;
      if (names.includes(name)) return true;
      const found = evidence.get(pipeline) ?? EMPTY_CLAIM;
      // One with a task queue of its own would now become the first of the queue, and get another.
      if (taskQueue === config.temporal.taskQueue && name === derivedName(taskQueue, found)) return true;
      const { own } = await findInstallation(claims, config, found);
      return own?.name === name;
    },
  };
}

/**
 * The evidence with the ids that others have found at the same address: of replicas behind a load balancer. If the
 * pipeline's data had another address before, nobody knows which ids are from there, and whose they are now.
 */
function idsHere(claim: Claim, evidence: Evidence): Evidence {
  const isSameAddress = claim.addresses.every((address) => evidence.addresses.includes(address));
  return isSameAddress ? { ...evidence, ids: claim.ids } : evidence;
}

/** Names of the claims of a database. */
function databaseClaims(taskQueue: string, evidence: Evidence): string[] {
  const { kafka } = evidence;
  return kafka === null ? [] : placeIds(evidence).map((id) => databaseClaim(taskQueue, kafka, id));
}

function claimOf(installation: Installation, { kafka, addresses, ids }: Evidence): Claim {
  return { format: CLAIM_FORMAT, installation, kafka, addresses, ids };
}

/** A claim without any evidence. */
const EMPTY_CLAIM: Claim = { format: CLAIM_FORMAT, installation: null, kafka: null, addresses: [], ids: [] };

/**
 * Says how to name an installation in a configuration. If its pipelines belong to several ones, no name is right: it
 * would keep the pipelines of the others, and so all, from starting.
 *
 * @param names the installations of all claimed pipelines of the configuration
 */
export function setName(name: string, names: readonly string[]): string {
  const all = [...new Set([...names, name])].sort();
  if (all.length === 1) return `set installation: ${name}`;
  return `separate the pipelines of installations ${all.join(', ')}: give each installation a configuration of its own, and set its name there`;
}

/**
 * Says that a pipeline belongs to another installation, and what to do.
 *
 * @param names see {@link setName}
 */
export function otherInstallation(
  pipeline: string,
  { installation }: Claim,
  because: string,
  names: readonly string[],
): { readonly message: string; readonly todo: string } {
  const whose = installation === null ? 'another installation' : `installation ${installation.name}`;
  const todo =
    'give the pipeline another name, or use another namespace of Temporal and, if the Kafka is the same, another groupId';
  const moved =
    installation === null ? '' : `; if it is the same data at another address, ${setName(installation.name, names)}`;
  return {
    message: `pipeline ${pipeline} belongs to ${whose} in this namespace of Temporal: ${because}`,
    todo: todo + moved,
  };
}
