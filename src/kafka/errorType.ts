/**
 * Whether a request failed by this answer of a broker, or a part of it. kafkajs may wrap it in an error of its own, where it has tried again
 * until it gave up.
 *
 * @param type as kafkajs names Kafka's error codes, for instance UNKNOWN_TOPIC_OR_PARTITION
 */
export function isOfType(error: unknown, type: string): boolean {
  for (let current = error; current instanceof Error; current = current.cause) {
    if ((current as Error & { type?: string }).type === type) return true;
    const { errors } = current as { errors?: unknown };
    if (Array.isArray(errors) && errors.some((part) => isOfType(part, type))) return true;
  }
  return false;
}
