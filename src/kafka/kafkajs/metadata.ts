import { errorOfCode } from './errorCodes.js';
import { internalModule, type Repairable } from './internals.js';
import { newEncoding, type ProtocolRequest } from './protocolRequest.js';

/** The answer to a Metadata request, as kafkajs decodes it, and the topics' ids. */
export interface RawMetadata {
  readonly clusterId?: string | null;
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[];
  readonly topicMetadata: readonly {
    readonly topicErrorCode: number;
    readonly topic: string;
    /** In hexadecimal. Missing if the broker does not tell it. */
    readonly topicId?: string;
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

interface Definition {
  versions: string[];
  protocol: (version: { version: number }) => (request: MetadataRequest) => ProtocolRequest<RawMetadata>;
}

/** An impossible topic name. Asking for it means to ask only for the brokers. */
export const ONLY_BROKERS = '\0none';
const NO_ERROR = 0;
/** UNKNOWN_TOPIC_OR_PARTITION, INVALID_TOPIC_EXCEPTION, TOPIC_AUTHORIZATION_FAILED: a retry cannot help. */
const UNAVAILABLE_TOPIC: readonly number[] = [3, 17, 29];

let repaired = false;

/**
 * Repairs how kafkajs asks for metadata and reads the answers. A second call does nothing.
 *
 * - If one partition has no leader (LEADER_NOT_AVAILABLE) or any other error, kafkajs throws the whole answer away: for
 *   all topics of a consumer or producer, or of the cluster. Repaired, such a partition has no leader (-1), and the
 *   others have theirs.
 * - If somebody asks for all topics, an error of one topic does not concern them: that topic is left out. Errors of
 *   named topics are thrown as before, with one exception: if some topics are missing or refused and others are well,
 *   the well ones are answered, and the bad ones have no partitions.
 * - If a client has no topics, kafkajs asks for all topics of the cluster whenever it needs only the brokers. With
 *   10,000 topics the decoding alone stops the process for 65 to 130 ms. Repaired, it asks for the brokers only.
 */
export function repairMetadata(): void {
  if (repaired) return;
  repaired = true;
  const definition = internalModule('protocol/requests/metadata') as Definition;
  const { protocol } = definition;

  definition.protocol = (version) => (asked) => {
    const onlyBrokers = asked.topics[0] === ONLY_BROKERS;
    const { request, response } = protocol(version)(onlyBrokers ? { ...asked, topics: [] } : asked);
    const noTopics = (): Promise<unknown> => {
      const list = newEncoding().writeArray([]);
      return Promise.resolve(request.apiVersion < 4 ? list : list.writeBoolean(false));
    };
    return {
      // Before version 1 an empty list means all topics.
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
            failed.find(({ topicErrorCode }) => !UNAVAILABLE_TOPIC.includes(topicErrorCode)) ??
            (topicMetadata.length === 0 ? first : undefined);
          if (named && grave !== undefined) return Promise.reject(errorOfCode(grave.topicErrorCode));
          return Promise.resolve({ ...data, topicMetadata });
        },
      },
    };
  };

  const { prototype } = internalModule('cluster/brokerPool') as Repairable<BrokerPool>;
  const { refreshMetadata } = prototype;
  prototype.refreshMetadata = function (topics) {
    return refreshMetadata.call(this, topics.length === 0 ? [ONLY_BROKERS] : topics);
  };
}

interface BrokerPool {
  refreshMetadata: (topics: readonly string[]) => Promise<void>;
}
