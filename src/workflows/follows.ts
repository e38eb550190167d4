import { patched } from '@temporalio/workflow';
import { PATCHES, type VersionedBehaviour } from './versions.js';

/** Whether the present run follows this behaviour. Asking may leave a mark in its history, see {@link PATCHES}. */
export function follows(behaviour: VersionedBehaviour): boolean {
  return patched(PATCHES[behaviour]);
}
