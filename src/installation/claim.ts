import { createHash } from 'node:crypto';
import type { Installation } from '../protocol/installation.js';

/**
 * Says in Temporal which installation owns a name: a pipeline's, or a task queue's. Whoever claims the name first has
 * it. The evidence of its Kafka and ClickHouse tells later whether a process belongs to the same installation.
 */
export interface Claim extends Evidence {
  readonly format: typeof CLAIM_FORMAT;
  /**
   * Null until a worker has run. A consumer does not ask ClickHouse, so it cannot say which installation it belongs to.
   */
  readonly installation: Installation | null;
}

export const CLAIM_FORMAT = 'ktb-claim/1';

/** What an installation is recognized by, if no name is configured. */
export interface Evidence {
  /** Kafka's cluster id, which is the same on all brokers. Null if Kafka has none. */
  readonly kafka: string | null;
  /** Addresses of ClickHouse with the database, as `host:port/database`. Empty if the configuration has none. */
  readonly addresses: readonly string[];
  /**
   * Unique ids of ClickHouse: of the database and of the server, each as `id/database`, and of tables. Each replica has
   * another server id, and a table that is created again has another id. So one id in common is enough. Empty if they
   * are not known: a consumer does not ask ClickHouse.
   */
  readonly ids: readonly string[];
}

/** Addresses and ids kept in a claim, at most. The oldest ones that are no longer found are dropped first. */
export const EVIDENCE_MAX = 100;

/** `same`, or why it is another installation, as a part of a sentence: "its Kafka cluster is A, and here it is B". */
export type ClaimJudgement = { readonly same: true } | { readonly same: false; readonly because: string };

/**
 * Decides whether the installation that asks is the one of a claim. If both have a configured name, the names decide.
 * Otherwise nothing that both sides know may differ.
 *
 * @param configured the `installation` of the configuration. Null if it has none
 * @param isOfPipeline whether the claim is that of a pipeline of the same name. Then an address in common counts more
 *   than ids that differ: tables that were created again are more likely than two set-ups. Otherwise it does not:
 *   `clickhouse:8123` is another server in each namespace of Kubernetes. And then a table in common is not enough, if
 *   the databases have other names: all other tables without a database would be others
 */
export function judgeClaim(
  claim: Claim,
  configured: string | null,
  evidence: Evidence,
  isOfPipeline: boolean,
): ClaimJudgement {
  const claimed = claim.installation?.name ?? null;
  if (configured !== null && claimed !== null) {
    return configured === claimed ? SAME : other(`the configuration names the installation ${configured}`);
  }
  if (claim.kafka !== null && evidence.kafka !== null && claim.kafka !== evidence.kafka) {
    return other(`its Kafka cluster is ${claim.kafka}, and the one here is ${evidence.kafka}`);
  }
  if (isOfPipeline && (claim.addresses.length === 0 || evidence.addresses.length === 0)) return SAME;
  const sharesIds = shares(claim.ids, evidence.ids);
  if (sharesIds && (isOfPipeline || shares(databases(claim), databases(evidence)))) return SAME;
  const noneHasIds = claim.ids.length === 0 && evidence.ids.length === 0;
  if (shares(claim.addresses, evidence.addresses) && (isOfPipeline || noneHasIds)) return SAME;
  if (shares(claim.addresses, evidence.addresses))
    return other(`its ClickHouse at ${evidence.addresses.join(', ')} had other ids than the one here`);
  const [theirs, here] = [claim, evidence].map(({ addresses }) => addresses.join(', ') || 'unknown');
  return other(`its ClickHouse is ${theirs}, and the one here is ${here}`);
}

/** The claim with what is known now added. If nothing is new, it is the same object. */
export function completeClaim(claim: Claim, installation: Installation | null, evidence: Evidence): Claim {
  const addresses = union(claim.addresses, evidence.addresses);
  const ids = union(claim.ids, evidence.ids);
  const kafka = evidence.kafka ?? claim.kafka;
  const complete: Claim = {
    format: CLAIM_FORMAT,
    installation: claim.installation ?? installation,
    kafka,
    addresses,
    ids,
  };
  return JSON.stringify(complete) === JSON.stringify(claim) ? claim : complete;
}

/**
 * What tells one database of one ClickHouse from all others: the evidence's ids without those of tables. Whoever has
 * one in common, and the Kafka, is the same installation. Empty if Kafka or ClickHouse has no ids.
 */
export function placeIds({ kafka, ids }: Evidence): readonly string[] {
  return kafka === null ? [] : ids.filter((id) => id.includes('/'));
}

/**
 * The name of a new installation that has no configured one. Null if Kafka or ClickHouse has no ids. Temporal may lose
 * the claims. Then a process that starts knows its own batchers by this name.
 */
export function derivedName(taskQueue: string, evidence: Evidence): string | null {
  const [id] = placeIds(evidence);
  if (id === undefined) return null;
  const hash = createHash('sha256').update(JSON.stringify([taskQueue, evidence.kafka, id]));
  return hash.digest('hex').slice(0, 8);
}

/**
 * Why a configured name may be that of another installation, as a part of a sentence. Null if nothing speaks against it:
 * another replica has another address, but the same Kafka and a database of the same name.
 */
export function otherPlace(claim: Claim, evidence: Evidence): string | null {
  if (claim.kafka !== null && evidence.kafka !== null && claim.kafka !== evidence.kafka)
    return `its Kafka cluster is ${claim.kafka}, and the one here is ${evidence.kafka}`;
  const [theirs, here] = [databases(claim), databases(evidence)];
  if (theirs.length === 0 || here.length === 0 || shares(theirs, here)) return null;
  return `its database is ${theirs.join(', ')}, and the one here is ${here.join(', ')}`;
}

function databases({ addresses }: Evidence): readonly string[] {
  return addresses.map((address) => address.slice(address.lastIndexOf('/') + 1));
}

const SAME: ClaimJudgement = { same: true };

function other(because: string): ClaimJudgement {
  return { same: false, because };
}

function shares(some: readonly string[], others: readonly string[]): boolean {
  return some.some((one) => others.includes(one));
}

/**
 * New entries come last and nothing changes its place. Otherwise two members with different evidence would overwrite
 * each other's claim for ever.
 */
function union(known: readonly string[], found: readonly string[]): readonly string[] {
  const fresh = found.filter((one) => !known.includes(one));
  if (fresh.length === 0) return known;
  let tooMany = Math.max(0, known.length + fresh.length - EVIDENCE_MAX);
  const kept = known.filter((one) => found.includes(one) || tooMany-- <= 0);
  return [...kept, ...fresh];
}
