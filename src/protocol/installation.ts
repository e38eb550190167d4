/**
 * One set-up of daemons with its Kafka and its ClickHouse. Several may share a namespace of Temporal. They must not do
 * each other's work.
 */
export interface Installation {
  readonly name: string;
  /** Where its activities are scheduled. Only its own workers poll this queue for activities. */
  readonly taskQueue: string;
}

/**
 * The task queue for the activities of a further installation. The first installation of a task queue uses that queue
 * itself, so an installation that is alone needs no other.
 */
export function ownTaskQueue(taskQueue: string, installation: string): string {
  return `${taskQueue}@${installation}`;
}

/** False for the first installation of a task queue. Batches that name no installation also go to its queue. */
export function hasOwnTaskQueue({ name, taskQueue }: Installation): boolean {
  return taskQueue.endsWith(`@${name}`);
}
