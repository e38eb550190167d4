import { internalModule, type Repairable } from './internals.js';

type Notes = Record<string, unknown>;

/** The parts of kafkajs's `consumer/subscriptionState` that are used here. */
interface SubscriptionState {
  /** Which partitions are paused, by topic. */
  subscriptionStatesByTopic: Notes;
  pause: (this: SubscriptionState, topicPartitions: readonly object[]) => void;
  resume: (this: SubscriptionState, topicPartitions: readonly object[]) => void;
  isPaused: (this: SubscriptionState, topic: string, partition: number) => boolean;
}

/** The parts of kafkajs's `consumer/consumerGroup` that are used here. */
interface NotingGroup {
  /** Which replica is asked instead of the leader, by topic and partition. */
  preferredReadReplicasPerTopicPartition: Notes;
  fetch: (this: NotingGroup, nodeId: string) => Promise<unknown>;
}

/**
 * Repairs what kafkajs does with topics that are called as something that all objects have: `constructor`, `toString`,
 * `__proto__`. Whoever may create a topic that a pattern matches can give it such a name. kafkajs takes what all objects
 * have for its own notes about the topic: it fails at each fetch of the pipeline, or writes the preferred replicas of the
 * topic into all objects of the process. Repaired, these notes have nothing in common with other objects. Elsewhere kafkajs
 * still does the same: a topic of such a name without a committed offset stops its pipeline (`fetchTopicsOffset`).
 *
 * To be called once, before the other repairs of `fetch`.
 */
export function repairTopicNotes(): void {
  const { prototype: state } = internalModule('consumer/subscriptionState') as Repairable<SubscriptionState>;
  const { pause, resume, isPaused } = state;
  const alone = (of: SubscriptionState): SubscriptionState => {
    of.subscriptionStatesByTopic = withoutInherited(of.subscriptionStatesByTopic);
    return of;
  };
  state.pause = function (topicPartitions) {
    pause.call(alone(this), topicPartitions);
  };
  state.resume = function (topicPartitions) {
    resume.call(alone(this), topicPartitions);
  };
  state.isPaused = function (topic, partition) {
    return isPaused.call(alone(this), topic, partition);
  };

  const { prototype: group } = internalModule('consumer/consumerGroup') as Repairable<NotingGroup>;
  const { fetch } = group;
  group.fetch = function (nodeId) {
    this.preferredReadReplicasPerTopicPartition = withoutInherited(this.preferredReadReplicasPerTopicPartition);
    return fetch.call(this, nodeId);
  };
}

/** The same object if it inherits nothing, otherwise a copy that does not. */
function withoutInherited(notes: Notes): Notes {
  if (Object.getPrototypeOf(notes) === null) return notes;
  const own = Object.create(null) as Notes;
  for (const [topic, note] of Object.entries(notes)) own[topic] = note;
  return own;
}
