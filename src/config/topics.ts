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
 * Whether a pipeline reads a topic. Patterns match neither Kafka's internal topics nor topics that the pipelines write
 * to.
 */
export function isInputTopic({ topics, topicPatterns, ownTopics }: TopicChoice, topic: string): boolean {
  if (topics.includes(topic)) return true;
  return !topic.startsWith('__') && !ownTopics.has(topic) && topicPatterns.some((pattern) => pattern.test(topic));
}

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
