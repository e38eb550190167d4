import type { PipelineConfig } from '../../config/config.js';
import { isInputTopic } from '../../config/topics.js';
import { FOREIGN_SIGNAL, UNREADABLE_CHUNK } from '../../protocol/deadLetter.js';
import { omittedParts, placeOf, type Letter } from './letters.js';

/** What a replay does with a dead letter. */
type ReplayDecision =
  | { readonly type: 'replay'; readonly topic: string }
  /** An earlier replay has published it, or left it. */
  | { readonly type: 'isReplayed' }
  /** A further dead letter of a record that is replayed. */
  | { readonly type: 'passOver' }
  | { readonly type: 'leave'; readonly obstacle: string };

/**
 * Decides about one dead letter after the other. Those that an earlier replay was for have to come first, in all
 * partitions.
 *
 * @param after see `parseAfter`
 */
export function replayDecisions(
  pipeline: PipelineConfig,
  after: ReadonlyMap<number, number>,
): (letter: Letter) => ReplayDecision {
  const seen = new Set<string>();
  return (letter) => {
    const { record, partition, source, ownTimestampMs } = letter;
    // A rewind or a repeated batch may write a second dead letter for a record. A record of another log has another
    // time.
    const name = `${placeOf(letter)}@${ownTimestampMs ?? record.timestampMs}`;
    const obstacle = obstacleTo(letter, pipeline);
    if (record.offset <= (after.get(partition) ?? -1)) {
      if (obstacle === null) seen.add(name);
      return { type: 'isReplayed' };
    }
    if (obstacle !== null || source === null) return { type: 'leave', obstacle: obstacle ?? '' };
    if (seen.has(name)) return { type: 'passOver' };
    seen.add(name);
    return { type: 'replay', topic: source.topic };
  };
}

/** Why a dead letter cannot be replayed. Null if it can. */
function obstacleTo(letter: Letter, pipeline: PipelineConfig): string | null {
  const { source, code } = letter;
  if (code === FOREIGN_SIGNAL) return 'a signal to a batcher, and no record';
  if (code === UNREADABLE_CHUNK) return 'a chunk that cannot be unpacked: `ktb rewind` reads its records again';
  if (source === null) return 'its headers do not say which topic it came from';
  if (!isInputTopic(pipeline, source.topic)) return `topic ${source.topic} is no input topic of the pipeline`;
  const [omitted] = omittedParts(letter);
  if (omitted !== undefined) return `without its ${omitted}, too large for the dead-letter topic`;
  return null;
}
