import type { Client } from '@temporalio/client';
import { REQUESTS, type DeliverConfirmation } from '../protocol/request.js';
import { isNotFound } from './errors.js';

/** The server answers a signal at once or not at all. Other requesters wait no longer than this. */
const CONFIRMATION_DEADLINE_MS = 5_000;

/** Tells requesters what became of their requests. */
export function signalRequester(client: Client): DeliverConfirmation {
  return async (requester, confirmation) => {
    try {
      await client.connection.withDeadline(Date.now() + CONFIRMATION_DEADLINE_MS, () =>
        client.workflow.getHandle(requester).signal(REQUESTS.confirmation, confirmation),
      );
      return 'delivered';
    } catch (error) {
      if (isNotFound(error)) return 'gone';
      throw error;
    }
  };
}
