import type { Config } from '../../config/config.js';
import { judgeClaim, type Claim, type Evidence } from '../../installation/claim.js';
import { Claims, pipelineClaim } from '../../installation/claims.js';
import { gatherEvidence } from '../../installation/evidence.js';
import { otherInstallation } from '../../installation/installations.js';
import { answerOf } from '../shared/chosen.js';
import { withKafka, withTables, withTemporal } from '../shared/connections.js';
import { judges, type Finding } from './finding.js';

/** Which installation the pipelines belong to. Empty if a part does not answer, because another finding says that. */
export async function checkInstallation(config: Config, timeoutMs: number): Promise<Finding[]> {
  const looking = withKafka(config, (_, admin) =>
    withTables(config, (tables) =>
      withTemporal(config, async (client) => {
        const evidence = await gatherEvidence(config, admin, tables);
        const claims = new Claims(client, config.temporal.requestTimeoutMs);
        const found: Finding[] = [];
        for (const [name, mine] of evidence) {
          const claim = (await claims.read(pipelineClaim(name)))?.claim ?? null;
          found.push(judgeClaimOf(name, claim, config.installation, mine));
        }
        return found;
      }),
    ),
  );
  const answer = await answerOf(looking, timeoutMs);
  return answer.ok ? answer.value : [];
}

function judgeClaimOf(pipeline: string, claim: Claim | null, configured: string | null, mine: Evidence): Finding {
  const { ok, wrong } = judges(`pipeline ${pipeline}`);
  const judgement = claim === null ? null : judgeClaim(claim, configured, mine, true);
  if (claim !== null && judgement?.same === false) {
    const { message, todo } = otherInstallation(pipeline, claim, judgement.because);
    return wrong(message, todo);
  }
  const installation = claim?.installation ?? null;
  return ok(
    installation === null
      ? 'belongs to no installation yet: the first worker claims it'
      : `belongs to this installation, ${installation.name}; its activities are on task queue ${installation.taskQueue}`,
  );
}
