import { serverVersion } from '../../clickhouse/serverFacts.js';
import type { Config } from '../../config/config.js';
import { reachClickHouse } from '../../connections/openParts.js';
import { judgeClaim, otherPlace, placeIds, type Claim, type Evidence } from '../../installation/claim.js';
import { Claims, pipelineClaim } from '../../installation/claims.js';
import { createGroupUse } from '../../daemon/groupUse.js';
import { gatherEvidence } from '../../installation/evidence.js';
import { judgeGroups } from '../../installation/judgeGroups.js';
import { claimerOf, findInstallation, otherInstallation, setName } from '../../installation/installations.js';
import { mapConcurrently } from '../../lib/mapConcurrently.js';
import { hasOwnTaskQueue, type Installation } from '../../protocol/installation.js';
import { answerOf } from '../shared/answer.js';
import { withKafka, withTables, withTemporal } from '../shared/connections.js';
import { judges, type Finding } from './finding.js';

/** Which installation the pipelines belong to, or that it could not be found out. */
export async function checkInstallation(config: Config, timeoutMs: number): Promise<Finding[]> {
  const looking = withKafka(config, (_, admin) =>
    withTables(config, async (tables, clickhouse) => {
      // Ids that a refused user may not ask for must not count as missing.
      await reachClickHouse(clickhouse, config.clickhouse);
      await serverVersion(clickhouse);
      return withTemporal(config, async (client) => {
        const evidence = await gatherEvidence(config, admin, tables);
        const claims = new Claims(client, config.temporal.requestTimeoutMs);
        const claimed = new Map(
          await mapConcurrently([...evidence.keys()], async (name): Promise<[string, Claim | null]> => {
            return [name, (await claims.read(pipelineClaim(name)))?.claim ?? null];
          }),
        );
        const names = [...claimed.values()].flatMap((claim) => claim?.installation?.name ?? []);
        const groupUse = createGroupUse(config, admin, client);
        const unclaimed = [...claimed].flatMap(([name, claim]) => (claim === null ? name : []));
        const { problems } = await judgeGroups(unclaimed, groupUse, claimerOf(claims, config, evidence, names));
        const found = await mapConcurrently([...evidence], async ([name, mine]) => {
          const claim = claimed.get(name) ?? null;
          const known = claim?.installation ? NOT_ASKED : await findInstallation(claims, config, mine);
          const problem = problems.get(name);
          return problem === undefined
            ? judgePipeline({ name, claim, names, configured: config.installation, mine, ...known })
            : judges(`pipeline ${name}`)[problem.passes ? 'warning' : 'wrong'](problem.message, problem.todo);
        });
        return [...found, ...judgeEvidence(config.installation, [...evidence.values()])];
      });
    }),
  );
  const answer = await answerOf(looking, timeoutMs);
  if (answer.ok) return answer.value;
  return [judges('installations').wrong(`could not be found out: ${answer.error}`, 'mend that, and check again')];
}

/** A pipeline, and what is known of its installation. */
interface PipelineFacts {
  readonly name: string;
  /** Null if nobody has claimed the pipeline. */
  readonly claim: Claim | null;
  /** The installations of all claimed pipelines of the configuration. */
  readonly names: readonly string[];
  /** The `installation` of the configuration. */
  readonly configured: string | null;
  readonly mine: Evidence;
  /** See {@link findInstallation}. Both null if the pipeline's claim names an installation. */
  readonly own: Installation | null;
  readonly owner: Claim | null;
}

const NOT_ASKED = { own: null, owner: null };

/** Judges which installation a pipeline belongs to, or which one its first worker will claim it for. */
export function judgePipeline({ name, claim, names, configured, mine, own, owner }: PipelineFacts): Finding {
  const { ok, warning, wrong } = judges(`pipeline ${name}`);
  const judgement = claim === null ? null : judgeClaim(claim, configured, mine, true);
  if (claim !== null && judgement?.same === false) {
    const { message, todo } = otherInstallation(name, claim, judgement.because, names);
    return wrong(message, todo);
  }
  const named = claim ?? owner;
  const elsewhere = configured !== null && named?.installation?.name === configured ? otherPlace(named, mine) : null;
  if (elsewhere !== null)
    return warning(
      `is of installation ${configured} by the configured name alone: ${elsewhere}`,
      'right if that installation has moved here; otherwise set another name, since the batches of one would go to the other',
    );
  const installation = claim?.installation ?? null;
  if (installation !== null) {
    const { name: whose, taskQueue } = installation;
    if (configured !== null || !hasOwnTaskQueue(installation))
      return ok(`belongs to this installation, ${whose}; its activities are on task queue ${taskQueue}`);
    return warning(
      `belongs to installation ${whose}, which is not the first one of its task queue; its activities are on task queue ${taskQueue}`,
      `${setName(whose, names)}, so that KEDA’s triggers know this queue`,
    );
  }
  const unclaimed = 'belongs to no installation yet: the first worker claims it';
  if (own !== null && configured === null && isElsewhere(owner, own, mine))
    return warning(
      `${unclaimed} for installation ${own.name}, whose ClickHouse has the same ids at other addresses: ${owner?.addresses.join(', ')}`,
      'right if both are one ClickHouse; if it is a clone, made from a copy of the disks, set an installation of its own here before the first start',
    );
  if (own !== null) return ok(`${unclaimed} for installation ${own.name}`);
  const first = owner?.installation ?? null;
  const difference = owner === null ? null : judgeClaim(owner, configured, mine, false);
  if (configured !== null || first === null || difference === null || difference.same) return ok(unclaimed);
  return warning(
    `${unclaimed} for a new one. Installation ${first.name} has the task queue: ${difference.because}`,
    `if it is the same database of the same ClickHouse, ${setName(first.name, names)} before the first start; otherwise set a name of its own, so that KEDA’s triggers know its queue`,
  );
}

function isElsewhere(owner: Claim | null, own: Installation, mine: Evidence): boolean {
  return owner?.installation?.name === own.name && !owner.addresses.some((address) => mine.addresses.includes(address));
}

/** Whether another configuration of this installation would be recognized. */
export function judgeEvidence(configured: string | null, evidence: readonly Evidence[]): Finding[] {
  const [first] = evidence;
  if (configured !== null || first === undefined || placeIds(first).length > 0) return [];
  return [
    judges('installation').warning(
      `${first.kafka === null ? 'Kafka has no cluster id' : 'ClickHouse has no id of its server or database'}: another configuration, with other pipelines, may be taken for another installation`,
      'set installation in all configurations, if there are several',
    ),
  ];
}
