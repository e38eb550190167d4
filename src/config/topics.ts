/** Input topics as the configuration gives them: names, and patterns between slashes. */
export interface TopicChoice {
  readonly topics: readonly string[];
  /** Each matches whole names. */
  readonly topicPatterns: readonly RegExp[];
  /** Topics that no pattern matches: those that the pipelines themselves write to. */
  readonly ownTopics: ReadonlySet<string>;
}

/** A topic's name has no slashes. */
export function isTopicPattern(text: string): boolean {
  return text.startsWith('/');
}

/** `/orders\..+/` as a pattern that matches whole names, as Kafka's own clients take them; null where it is none. */
export function topicPattern(text: string): RegExp | null {
  const source = text.slice(1, -1);
  try {
    // By itself first: what is put around it must not make it whole.
    return new RegExp(`^(?:${new RegExp(source).source})$`);
  } catch {
    return null;
  }
}

/** A pattern of {@link topicPattern} as the configuration has it. */
export function patternText({ source }: RegExp): string {
  return `/${source.slice('^(?:'.length, -')$'.length)}/`;
}

/** Whether records of a topic are read. Kafka's internal topics and those that the pipelines write to match no pattern. */
export function isInputTopic({ topics, topicPatterns, ownTopics }: TopicChoice, topic: string): boolean {
  if (topics.includes(topic)) return true;
  return !topic.startsWith('__') && !ownTopics.has(topic) && topicPatterns.some((pattern) => pattern.test(topic));
}

/** The input topics of a pipeline: those that it names, there or not, and those of the existing ones that match. Sorted. */
export function inputTopics(choice: TopicChoice, existing: Iterable<string>): string[] {
  const matching = [...existing].filter((topic) => isInputTopic(choice, topic));
  return [...new Set([...choice.topics, ...matching])].sort();
}
