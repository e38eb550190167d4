import type { Installation } from '../protocol/installation.js';

/**
 * What Temporal keeps of who owns a name: a pipeline's, or that of a task queue. The first one who claims it has it. What is
 * known of its Kafka and ClickHouse tells later whether somebody else is the same installation.
 */
export interface Claim extends Evidence {
  readonly format: typeof CLAIM_FORMAT;
  /** Null until a worker has come: a consumer knows too little of ClickHouse to say which installation it belongs to. */
  readonly installation: Installation | null;
}

export const CLAIM_FORMAT = 'ktb-claim/1';

/** By what an installation is recognized, where no name is configured. */
export interface Evidence {
  /** Kafka's cluster id: the same on all brokers and by every address. Null where Kafka has none. */
  readonly kafka: string | null;
  /** Addresses of ClickHouse with the database, as `host:port/database`. Empty where the configuration has none. */
  readonly addresses: readonly string[];
  /**
   * Ids of ClickHouse's that no other one has: of the server with the database, and of tables. A server's differs from replica to
   * replica and a table's changes when it is created again, so one in common is enough. Empty where they are not known: a consumer
   * does not ask ClickHouse.
   */
  readonly ids: readonly string[];
}

/** Addresses and ids kept in a claim, at most; of those that are no longer seen the oldest go first. */
export const EVIDENCE_MAX = 50;

/** `same`, or why it is another installation, for a sentence: "its Kafka cluster is A, and here it is B". */
export type Judgement = { readonly same: true } | { readonly same: false; readonly because: string };

/**
 * Whether the installation that is asking is the one of a claim. A configured name decides, whatever the evidence; otherwise
 * what is known on both sides must not differ.
 *
 * @param configured the `installation` of the configuration; null where it has none
 * @param addressIsEnough whether ids that differ are outweighed by an address in common. Among pipelines of one name and one
 *   Kafka cluster it is likelier that tables were created again than that there are two set-ups; elsewhere it is not: `clickhouse:8123`
 *   is another server in each namespace of Kubernetes
 */
export function judgeClaim(
  claim: Claim,
  configured: string | null,
  evidence: Evidence,
  addressIsEnough: boolean,
): Judgement {
  const claimed = claim.installation?.name ?? null;
  if (configured !== null && claimed !== null) {
    return configured === claimed ? SAME : other(`the configuration names the installation ${configured}`);
  }
  if (claim.kafka !== null && evidence.kafka !== null && claim.kafka !== evidence.kafka) {
    return other(`its Kafka cluster is ${claim.kafka}, and the one here is ${evidence.kafka}`);
  }
  if (claim.addresses.length === 0 || evidence.addresses.length === 0) return SAME;
  if (shares(claim.ids, evidence.ids)) return SAME;
  const idsDiffer = claim.ids.length > 0 && evidence.ids.length > 0;
  if (shares(claim.addresses, evidence.addresses) && (addressIsEnough || !idsDiffer)) return SAME;
  return other(`its ClickHouse is ${claim.addresses.join(', ')}, and the one here is ${evidence.addresses.join(', ')}`);
}

/** The claim with what is known now; the very same object where it says all that already. */
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

const SAME: Judgement = { same: true };

function other(because: string): Judgement {
  return { same: false, because };
}

function shares(some: readonly string[], others: readonly string[]): boolean {
  return some.some((one) => others.includes(one));
}

/** What is new comes last; nothing moves, so that two members with different evidence do not write in turns for ever. */
function union(known: readonly string[], found: readonly string[]): readonly string[] {
  const fresh = found.filter((one) => !known.includes(one));
  if (fresh.length === 0) return known;
  let tooMany = Math.max(0, known.length + fresh.length - EVIDENCE_MAX);
  const kept = known.filter((one) => found.includes(one) || tooMany-- <= 0);
  return [...kept, ...fresh];
}
