/**
 * Whether a request, or a part of it, failed with this answer of a broker. kafkajs may wrap the error in another one
 * after its own retries.
 *
 * @param type the name that kafkajs gives Kafka's error code, for example UNKNOWN_TOPIC_OR_PARTITION
 */
export function isOfType(error: unknown, type: string): boolean {
  for (let current = error; current instanceof Error; current = current.cause) {
    if ((current as Error & { type?: string }).type === type) return true;
    const { errors } = current as { errors?: unknown };
    if (Array.isArray(errors) && errors.some((part) => isOfType(part, type))) return true;
  }
  return false;
}

/** The type of Kafka's error if there is no such topic or partition. */
export const UNKNOWN_TOPIC = 'UNKNOWN_TOPIC_OR_PARTITION';
/** The type of Kafka's error if the user may not do this with a topic. */
export const NOT_AUTHORIZED = 'TOPIC_AUTHORIZATION_FAILED';
/** Tells a person that the user may not read a topic. */
export const NOT_READABLE = `Kafka refuses it to this user (${NOT_AUTHORIZED}): check the right to read it`;

/** The types of Kafka's errors if a topic itself cannot be used: there is none, or this user may not use it. */
export const UNUSABLE_TOPIC: readonly string[] = [UNKNOWN_TOPIC, 'INVALID_TOPIC_EXCEPTION', NOT_AUTHORIZED];

/** Whether a broker answered with one of {@link UNUSABLE_TOPIC}. */
export function isUnusableTopic(error: unknown): boolean {
  return UNUSABLE_TOPIC.some((type) => isOfType(error, type));
}
