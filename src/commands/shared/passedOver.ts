import type { PassedOver } from '../../kafka/readRanges.js';
import { partitionName } from '../../protocol/record.js';
import { offsetsText } from './offsetsText.js';

/** Prints on stderr which offsets a command could not read. */
export function tellPassedOver(unreadable: PassedOver): void {
  console.error(passedOverText(unreadable));
}

/** A line for a person. */
export function passedOverText({ topic, partition, from, to, reason }: PassedOver): string {
  return `${partitionName({ topic, partition })}: ${offsetsText(from, to - 1)} cannot be read and ${to - from === 1 ? 'was' : 'were'} passed over, as by the daemon: ${reason}`;
}
