import type { FlushActivities } from '../protocol/flushActivities.js';
import { Answers } from './answers.js';
import { Attempts } from './attempts.js';
import { BatchBodies } from './batchBodies.js';
import type { ActivityDependencies } from './dependencies.js';
import { Flusher } from './flusher.js';
import { insertBatch } from './insertBatch.js';
import { insertInherited } from './insertInherited.js';
import { BatchMemos } from './memos.js';
import { publishForeignSignals } from './publishForeignSignals.js';
import { readInheritance } from './readInheritance.js';
import { rejectRecords } from './rejectRecords.js';
import { Unpacker } from './unpack.js';

/** Creates the activities of the batchers. */
export function createActivities(dependencies: ActivityDependencies): FlushActivities {
  const memos = new BatchMemos();
  const attempts = new Attempts({ ...dependencies, memos });
  const answers = new Answers({ ...dependencies, memos });
  const flusher = new Flusher({ ...dependencies, memos, answers });
  const unpacker = new Unpacker({ ...dependencies, memos });
  const { histories, metrics, batchBodies = new BatchBodies(histories, metrics) } = dependencies;
  const parts = { ...dependencies, memos, attempts, answers, flusher, unpacker, batchBodies };
  return {
    insertBatch: insertBatch(parts),
    readInheritance: readInheritance(parts),
    insertInherited: insertInherited(parts),
    rejectRecords: rejectRecords(parts),
    publishForeignSignals: publishForeignSignals(parts),
    confirmRequests: (pipeline, unconfirmed) => answers.deliver(pipeline, unconfirmed),
  };
}
