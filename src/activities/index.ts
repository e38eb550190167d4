import type { FlushActivities } from '../protocol/flushActivities.js';
import { Answers } from './answers.js';
import { Attempts } from './attempts.js';
import { confirmRequests } from './confirmRequests.js';
import type { ActivityDependencies } from './dependencies.js';
import { Flusher } from './flusher.js';
import { insertBatch } from './insertBatch.js';
import { insertInherited } from './insertInherited.js';
import { publishForeignSignals } from './publishForeignSignals.js';
import { readInheritance } from './readInheritance.js';
import { rejectRecords } from './rejectRecords.js';

/** The activities of the batchers, around the clients they work with. */
export function createActivities(dependencies: ActivityDependencies): FlushActivities {
  const attempts = new Attempts(dependencies);
  const answers = new Answers(dependencies);
  const flusher = new Flusher({ ...dependencies, answers });
  const parts = { ...dependencies, attempts, answers, flusher };
  return {
    insertBatch: insertBatch(parts),
    readInheritance: readInheritance(parts),
    insertInherited: insertInherited(parts),
    rejectRecords: rejectRecords(parts),
    publishForeignSignals: publishForeignSignals(parts),
    confirmRequests: confirmRequests(parts),
  };
}
