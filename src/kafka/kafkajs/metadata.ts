import { createRequire } from 'node:module';
import { errorOfCode } from './errorCodes.js';

/** Topic and partition of an answer to a Metadata request, as kafkajs decodes it. */
export interface RawMetadata {
  readonly clusterId?: string | null;
  readonly controllerId: number;
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[];
  readonly topicMetadata: readonly {
    readonly topicErrorCode: number;
    readonly topic: string;
    readonly partitionMetadata: readonly {
      readonly partitionErrorCode: number;
      readonly partitionId: number;
      readonly leader: number;
      readonly replicas: readonly number[];
    }[];
  }[];
}

interface MetadataRequest {
  readonly topics: readonly string[];
  readonly allowAutoTopicCreation?: boolean;
}

/** A request in a version that the broker knows, and how its answer is read. */
export interface ProtocolRequest<Answer> {
  readonly request: { apiVersion: number; encode: () => Promise<unknown> };
  readonly response: { decode: (raw: Buffer) => Promise<Answer>; parse: (data: Answer) => Promise<Answer> };
}

interface Definition {
  versions: string[];
  protocol: (version: { version: number }) => (request: MetadataRequest) => ProtocolRequest<RawMetadata>;
}

const require = createRequire(import.meta.url);

/** No topic can be called so. In place of a list of topics: only the brokers are asked for. */
export const ONLY_BROKERS = '\0none';
const NO_ERROR = 0;
/** UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION, TOPIC_AUTHORIZATION_FAILED: the topic is not to be had, whoever asks how often. */
const NOT_TO_BE_HAD: readonly number[] = [3, 17, 29];

let repaired = false;

/**
 * Repairs how kafkajs reads and asks for metadata. Called more than once it does nothing more.
 *
 * - One partition without a leader (LEADER_NOT_AVAILABLE), or any other error of a partition, makes it throw away the whole
 *   answer: of all topics of a consumer or producer, or of all topics of the cluster. Repaired, such a partition has no leader
 *   (-1) and the others have theirs.
 * - An error of a topic that nobody named does not concern who asked for all. The errors of named topics are thrown as before, but for
 *   one that is missing or refused beside topics without an error: those are answered, and it has no partitions.
 * - Where a client has no topic of its own, it asks for all topics of the cluster each time it only needs the brokers: at
 *   10,000 topics the decoding alone stops the process for 65 to 130 ms. Repaired, it asks for the brokers.
 */
export function repairMetadata(): void {
  if (repaired) return;
  repaired = true;
  const definition = require('kafkajs/src/protocol/requests/metadata') as Definition;
  const Encoder = require('kafkajs/src/protocol/encoder') as new () => Encoding;
  const { protocol } = definition;

  definition.protocol = (version) => (asked) => {
    const onlyBrokers = asked.topics[0] === ONLY_BROKERS;
    const { request, response } = protocol(version)(onlyBrokers ? { ...asked, topics: [] } : asked);
    const noTopics = (): Promise<unknown> => {
      const list = new Encoder().writeArray([]);
      return Promise.resolve(request.apiVersion < 4 ? list : list.writeBoolean(false));
    };
    return {
      // Before version 1 an empty list stands for all topics.
      request: onlyBrokers && request.apiVersion > 0 ? { ...request, encode: noTopics } : request,
      response: {
        decode: response.decode,
        parse: (data) => {
          const failed = data.topicMetadata.filter(({ topicErrorCode }) => topicErrorCode !== NO_ERROR);
          const named = asked.topics.length > 0 && !onlyBrokers;
          const [first] = failed;
          if (first === undefined) return Promise.resolve(data);
          const topicMetadata = data.topicMetadata.filter(({ topicErrorCode }) => topicErrorCode === NO_ERROR);
          const grave =
            failed.find(({ topicErrorCode }) => !NOT_TO_BE_HAD.includes(topicErrorCode)) ??
            (topicMetadata.length === 0 ? first : undefined);
          if (named && grave !== undefined) return Promise.reject(errorOfCode(grave.topicErrorCode));
          return Promise.resolve({ ...data, topicMetadata });
        },
      },
    };
  };

  const BrokerPool = require('kafkajs/src/cluster/brokerPool') as {
    prototype: { refreshMetadata: (topics: readonly string[]) => Promise<void> };
  };
  const { refreshMetadata } = BrokerPool.prototype;
  BrokerPool.prototype.refreshMetadata = function (topics) {
    return refreshMetadata.call(this, topics.length === 0 ? [ONLY_BROKERS] : topics);
  };
}

interface Encoding {
  writeArray: (array: unknown[]) => Encoding;
  writeBoolean: (value: boolean) => Encoding;
}
