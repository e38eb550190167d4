import { createRequire } from 'node:module';
import type { Offsets } from 'kafkajs';
import { repairCommits } from './committedEpochs.js';
import { repairDefaultOffsets } from './defaultOffsets.js';
import { repairFetchPace } from './fetchPace.js';
import { repairFetchResponses } from './fetchResponse.js';
import type { FetchedBatch, KafkajsBatch } from './fetchedBatch.js';
import { repairFollowers } from './followers.js';
import { internalModule, type Repairable } from './internals.js';
import { repairLostAssignments } from './lostAssignments.js';
import { repairMetadata } from './metadata.js';
import { repairOutOfRange } from './outOfRange.js';
import { repairReconnections } from './reconnections.js';
import { repairPartitionErrors } from './partitionErrors.js';
import { repairProduceRequests } from './produceRequest.js';
import { handleFetched, type Runner } from './runner.js';
import { repairSaslSessions } from './saslSessions.js';
import { repairSilentConnections } from './silentConnections.js';
import { repairStaleTopics } from './staleTopics.js';
import { repairClock } from './steadyClock.js';
import { repairTopicAnswers } from './topicAnswers.js';

/** The only version of kafkajs whose internals are known here. */
export const KAFKAJS_VERSION = '2.2.4';

/** Another version of kafkajs is installed. */
export class KafkajsVersionError extends Error {
  override readonly name = 'KafkajsVersionError';
}

/** @throws KafkajsVersionError */
export function mustBeKnown(version: string): void {
  if (version === KAFKAJS_VERSION) return;
  throw new KafkajsVersionError(
    `kafkajs ${version} is installed, and ktb replaces inner parts of kafkajs ${KAFKAJS_VERSION}: with another version it may lose ` +
      `records. Install exactly kafkajs ${KAFKAJS_VERSION}, as ktb's package.json has it`,
  );
}

interface RepairedRunner {
  handleBatch: (batch: KafkajsBatch | FetchedBatch) => Promise<void>;
  commitOffsets: (offsets: Offsets) => Promise<void>;
}

/**
 * Repairs all clients of kafkajs in this process. A second call does nothing. The repairs:
 *
 * - how fetched bytes are decoded and handed out: `fetchResponse.ts`, `recordSet.ts`, `runner.ts`;
 * - connections and time: `steadyClock.ts`, `reconnections.ts`, `silentConnections.ts`, `saslSessions.ts`;
 * - one bad topic or partition among others: `metadata.ts`, `defaultOffsets.ts`, `outOfRange.ts`, `partitionErrors.ts`;
 * - whether a topic is still the one that was read: `topicAnswers.ts`;
 * - topics that only other members of a group read: `staleTopics.ts`;
 * - partitions that a member was given without hearing of it: `lostAssignments.ts`;
 * - how messages are written: `produceRequest.ts`;
 * - what is committed with an offset: `committedEpochs.ts`;
 * - how often a few records are fetched: `fetchPace.ts`;
 * - fetching from followers: `followers.ts`.
 *
 * @throws KafkajsVersionError
 */
export function repairKafkajs(): void {
  const { version } = require('kafkajs/package.json') as { version: string };
  mustBeKnown(version);
  const { prototype } = internalModule('consumer/runner') as Repairable<RepairedRunner>;
  if (REPAIRED in prototype) return;
  const { handleBatch } = prototype;
  prototype.handleBatch = function (this: Runner, batch) {
    return handleFetched(this, batch as KafkajsBatch, (part) => handleBatch.call(this, part));
  };
  // After a consumer has crashed, kafkajs sends no commit, or drops its error, and says that it is done. This passes
  // the broker's answer on.
  prototype.commitOffsets = function (this: Runner, offsets) {
    return this.consumerGroup.commitOffsets(offsets);
  };
  repairFetchResponses();
  repairClock();
  repairReconnections();
  repairSilentConnections();
  repairSaslSessions();
  repairMetadata();
  repairDefaultOffsets();
  repairOutOfRange();
  repairFollowers();
  repairPartitionErrors();
  repairTopicAnswers();
  repairStaleTopics();
  repairLostAssignments();
  repairProduceRequests();
  repairCommits();
  repairFetchPace();
  Object.assign(prototype, { [REPAIRED]: true });
}

const require = createRequire(import.meta.url);
/** On kafkajs itself, so that another copy of this module in the process does not repair it again. */
const REPAIRED = Symbol.for('ktb:repaired');
