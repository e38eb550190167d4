import type { PassedOver } from '../../kafka/readRanges.js';
import { partitionName } from '../../protocol/record.js';

/** Prints on stderr which offsets a command could not read. */
export function tellPassedOver(unreadable: PassedOver): void {
  console.error(passedOverText(unreadable));
}

/** A line for a person. */
export function passedOverText({ topic, partition, from, to, reason }: PassedOver): string {
  const what = to - from === 1 ? `offset ${from}` : `offsets ${from} to ${to - 1}`;
  return `${partitionName({ topic, partition })}: ${what} cannot be read and ${to - from === 1 ? 'was' : 'were'} passed over, as by the daemon: ${reason}`;
}
