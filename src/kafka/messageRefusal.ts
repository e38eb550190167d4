import { isOfType } from './errorType.js';
import type { MessageList } from './messageList.js';

/**
 * Why a topic refuses one message but may take a changed one. `record`: the message is not valid there, for example
 * without a key in a compacted topic, or by a schema that the broker checks.
 */
export type MessageRefusal = 'size' | 'record';

/** What is said of a refused message. */
export const REFUSAL_REASONS: Readonly<Record<MessageRefusal, string>> = {
  size: 'a message is larger than it takes',
  record: 'a message is not valid there, for instance by a schema that the broker checks',
};

/**
 * Which message problem an error means. Null if the request failed for another reason, so that the topic counts as
 * away.
 */
export function messageRefusalOf(error: unknown, messages: MessageList): MessageRefusal | null {
  // A record batch can be too large for the topic's messages, or for its segments.
  if (isOfType(error, 'MESSAGE_TOO_LARGE') || isOfType(error, 'RECORD_LIST_TOO_LARGE')) return 'size';
  if (isOfType(error, 'INVALID_RECORD')) return 'record';
  // Older brokers say this for a message without a key in a compacted topic, and also for one that was damaged on its
  // way.
  return isOfType(error, 'CORRUPT_MESSAGE') && messages.hasKeyless() ? 'record' : null;
}
