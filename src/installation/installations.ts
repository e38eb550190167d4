import { randomBytes } from 'node:crypto';
import type { Config } from '../config/config.js';
import { ownTaskQueue, type Installation } from '../protocol/installation.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { completeClaim, CLAIM_FORMAT, judgeClaim, type Claim, type Evidence } from './claim.js';
import { pipelineClaim, taskQueueClaim, type Claims, type StoredClaim } from './claims.js';

export interface InstallationsOptions {
  readonly config: Pick<Config, 'pipelines' | 'installation'> & { readonly temporal: { readonly taskQueue: string } };
  readonly claims: Pick<Claims, 'read' | 'create' | 'replace'>;
  /** By pipeline. Rejects where a part that is asked does not answer. */
  readonly evidence: () => Promise<ReadonlyMap<string, Evidence>>;
  /** Whether this process may say which installation a pipeline belongs to. A consumer alone has not asked ClickHouse. */
  readonly mayName: boolean;
}

/** Answers to {@link Installations.ofOther} are remembered for so long. */
const OTHERS_KEPT_MS = 15_000;
/** Members that replace a claim at the same time try again, so often at most. */
const ATTEMPTS_MAX = 20;

/** Pipelines that belong to another installation. It passes when they are given back, or by another configuration. */
export class OtherInstallationError extends Error {
  override readonly name = 'OtherInstallationError';
}

/**
 * Which installation each pipeline belongs to, as claimed in Temporal, see {@link Claim}. {@link settle} claims what nobody has
 * claimed yet; before it has resolved once, nothing of a pipeline may be read, sent or inserted.
 */
export class Installations {
  readonly #options: InstallationsOptions;
  readonly #byPipeline = new Map<string, Installation>();
  readonly #settings = new Map<string, BatcherSettings>();
  readonly #others = new Map<string, { readonly untilMs: number; readonly found: Promise<Claim | null> }>();

  constructor(options: InstallationsOptions) {
    this.#options = options;
  }

  /**
   * Claims the pipelines of the configuration, or finds that they are claimed by this installation.
   *
   * @throws OtherInstallationError in words that say what to do, for all pipelines at once
   */
  async settle(): Promise<void> {
    const { config, claims } = this.#options;
    const evidence = await this.#options.evidence();
    const problems: string[] = [];
    const mine: { readonly name: string; readonly evidence: Evidence; readonly stored: StoredClaim | null }[] = [];
    for (const { name } of config.pipelines) {
      const found = evidence.get(name) ?? NOBODYS;
      const stored = await claims.read(pipelineClaim(name));
      mine.push({ name, evidence: found, stored });
      const problem = this.#problem(name, stored?.claim ?? null, found);
      if (problem !== null) problems.push(problem);
      else if (stored?.claim.installation) this.#byPipeline.set(name, stored.claim.installation);
    }
    if (problems.length > 0) throw new OtherInstallationError(problems.join('; '));
    for (const { name, evidence: found, stored } of mine) await this.#claim(name, found, stored);
  }

  async #claim(pipeline: string, evidence: Evidence, known: StoredClaim | null): Promise<void> {
    const { claims, mayName } = this.#options;
    const name = pipelineClaim(pipeline);
    let stored = known;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const claimed = stored?.claim.installation ?? null;
      const installation = claimed ?? (mayName ? await this.#own(evidence) : null);
      const claim = completeClaim(stored?.claim ?? { ...NOBODYS, ...evidence }, installation, evidence);
      const isStored = stored !== null && (stored.claim === claim || !mayName);
      if (
        isStored ||
        (stored === null ? await claims.create(name, claim) : await claims.replace(name, stored, claim))
      ) {
        if (installation !== null) this.#byPipeline.set(pipeline, installation);
        return;
      }
      stored = await claims.read(name);
      const problem = this.#problem(pipeline, stored?.claim ?? null, evidence);
      if (problem !== null) throw new OtherInstallationError(problem);
    }
    throw new Error(`the claim of pipeline ${pipeline} changes all the time`);
  }

  /** The installation that this process names: that of its other pipelines, or the one that its task queue belongs to, or a new one. */
  async #own(evidence: Evidence): Promise<Installation> {
    const { config, claims } = this.#options;
    const [known] = this.#byPipeline.values();
    if (known !== undefined) return known;
    const { taskQueue } = config.temporal;
    const name = config.installation ?? randomBytes(4).toString('hex');
    const first: Claim = { ...NOBODYS, ...evidence, installation: { name, taskQueue } };
    if (await claims.create(taskQueueClaim(taskQueue), first)) return { name, taskQueue };
    const stored = await claims.read(taskQueueClaim(taskQueue));
    const isOwn = stored !== null && judgeClaim(stored.claim, config.installation, evidence, false).same;
    return (isOwn ? stored.claim.installation : null) ?? { name, taskQueue: ownTaskQueue(taskQueue, name) };
  }

  #problem(pipeline: string, claim: Claim | null, evidence: Evidence): string | null {
    if (claim === null) return null;
    const judgement = judgeClaim(claim, this.#options.config.installation, evidence, true);
    if (judgement.same) return null;
    const { message, todo } = otherInstallation(pipeline, claim, judgement.because);
    return `${message}. Two installations must not share it: ${todo}`;
  }

  /** Null for a pipeline that no worker has claimed yet. */
  of(pipeline: string): Installation | null {
    return this.#byPipeline.get(pipeline) ?? null;
  }

  /** Task queues on which this process does activities: one, but where pipelines of several installations have been put together. */
  get taskQueues(): readonly string[] {
    return [...new Set([...this.#byPipeline.values()].map(({ taskQueue }) => taskQueue))];
  }

  /** What a pipeline's batchers are told; another object once it is known which installation it belongs to. */
  settingsOf({ name, settings }: { readonly name: string; readonly settings: BatcherSettings }): BatcherSettings {
    const installation = this.of(name);
    const told = this.#settings.get(name);
    if (told !== undefined && (told.installation ?? null) === installation) return told;
    const named = installation === null ? settings : { ...settings, installation };
    this.#settings.set(name, named);
    return named;
  }

  /**
   * Whether work for a pipeline is this installation's.
   *
   * @param named what the work names; undefined in work of versions that named none: then the pipeline's claim decides
   * @returns the installation that it belongs to where that is another one; `unknown` where nobody has claimed the pipeline
   */
  async ofOther(pipeline: string, named: string | undefined): Promise<Installation | 'unknown' | null> {
    const own = [...this.#byPipeline.values()];
    if (named !== undefined && own.some(({ name }) => name === named)) return null;
    if (named === undefined && this.#byPipeline.has(pipeline)) return null;
    const claimed = (await this.#claimOf(pipeline))?.installation ?? null;
    if (claimed === null) return 'unknown';
    return own.some(({ name }) => name === claimed.name) ? null : claimed;
  }

  /**
   * Whether somebody has a pipeline that this configuration has not: another installation, this one's other workers, or consumers
   * whose workers have yet to come.
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

/** A claim that says nothing yet. */
const NOBODYS: Claim = { format: CLAIM_FORMAT, installation: null, kafka: null, addresses: [], ids: [] };

/** That a pipeline belongs to another installation, and what to do about it. */
export function otherInstallation(
  pipeline: string,
  { installation }: Claim,
  because: string,
): { readonly message: string; readonly todo: string } {
  const whose = installation === null ? 'another installation' : `installation ${installation.name}`;
  const todo = 'give the pipeline another name, or use another namespace of Temporal';
  const moved =
    installation === null ? '' : `; if it is the same data at another address, set installation: ${installation.name}`;
  return {
    message: `pipeline ${pipeline} belongs to ${whose} in this namespace of Temporal: ${because}`,
    todo: todo + moved,
  };
}
