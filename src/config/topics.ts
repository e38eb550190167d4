import type { Destination } from '../protocol/settings.js';

/** The input topics in the configuration: names, and patterns between slashes. */
export interface TopicChoice {
  readonly topics: readonly string[];
  /** Patterns that match whole names. */
  readonly topicPatterns: readonly RegExp[];
  /** Topics that the pipelines themselves write to. No pattern matches them. */
  readonly ownTopics: ReadonlySet<string>;
}

/** Whether a text is a pattern. Names of topics have no slashes. */
export function isTopicPattern(text: string): boolean {
  return text.startsWith('/');
}

/**
 * A text like `/orders\..+/` as a pattern that matches whole names, as in Kafka's own clients. Null if it is not valid.
 */
export function topicPattern(text: string): RegExp | null {
  const source = text.slice(1, -1);
  try {
    // Compiled alone first. Otherwise what is put around it could make an invalid pattern valid.
    return new RegExp(`^(?:${new RegExp(source).source})$`);
  } catch {
    return null;
  }
}

/** The text of a {@link topicPattern} in the configuration. */
export function patternText({ source }: RegExp): string {
  return `/${source.slice('^(?:'.length, -')$'.length)}/`;
}

/**
 * Whether kafkajs can read a topic of this name. It keeps notes about topics in plain objects, and takes what all objects
 * have (`constructor`, `toString`, `__proto__`) for its notes: such a topic stops all others of its consumer.
 */
export function isReadableName(topic: string): boolean {
  return !(topic in Object.prototype);
}

/**
 * Whether a pipeline reads a topic. Patterns match neither Kafka's internal topics nor topics that the pipelines write
 * to, nor {@link isReadableName names} that cannot be read: whoever may create topics could stop the pipeline.
 */
export function isInputTopic(choice: TopicChoice, topic: string): boolean {
  return choice.topics.includes(topic) || (isReadableName(topic) && isMatched(choice, topic));
}

function isMatched({ topicPatterns, ownTopics }: TopicChoice, topic: string): boolean {
  return !topic.startsWith('__') && !ownTopics.has(topic) && topicPatterns.some((pattern) => pattern.test(topic));
}

/** The existing topics that are not read although a pattern matches them, sorted: see {@link isReadableName}. */
export function passedOverTopics(choice: TopicChoice, existing: Iterable<string>): string[] {
  return [...existing].filter((topic) => !isReadableName(topic) && isMatched(choice, topic)).sort();
}

/** Why a topic is passed over. */
export const NAME_OF_ALL_OBJECTS = 'its name is one that all objects of JavaScript have, and kafkajs cannot read it';

/**
 * The input topics of a pipeline, sorted: those that it names, even if they do not exist, and existing ones that match.
 */
export function inputTopics(choice: TopicChoice, existing: Iterable<string>): string[] {
  const matching = [...existing].filter((topic) => isInputTopic(choice, topic));
  return [...new Set([...choice.topics, ...matching])].sort();
}

/** What names topics that have to exist. */
interface NeededTopics {
  readonly topics: readonly string[];
  readonly settings: { readonly destination: Pick<Destination, 'reply' | 'deadLetterTopic'> };
}

/** The input, reply and dead-letter topics that a pipeline needs. */
export function neededTopics({ topics, settings: { destination } }: NeededTopics): string[] {
  return [
    ...topics,
    ...(destination.reply === undefined ? [] : [destination.reply.topic]),
    destination.deadLetterTopic,
  ];
}
