/**
 * One set-up of daemons with its Kafka and its ClickHouse. Several may share a namespace of Temporal, and then must not do each
 * other's work.
 */
export interface Installation {
  readonly name: string;
  /** Where its activities are scheduled: only its own workers ask for work there. */
  readonly taskQueue: string;
}

/**
 * The task queue of an installation. The first one of a task queue uses it as it is, so that an installation that is alone
 * needs no other; each further one gets its own.
 */
export function ownTaskQueue(taskQueue: string, installation: string): string {
  return `${taskQueue}@${installation}`;
}

/** False for the first installation of a task queue, whose activities go where those of batchers that name none go. */
export function hasOwnTaskQueue({ name, taskQueue }: Installation): boolean {
  return taskQueue.endsWith(`@${name}`);
}
