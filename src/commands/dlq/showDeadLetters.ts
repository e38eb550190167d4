import { loadConfig } from '../../config/load.js';
import { originalHeaders, originalKey } from '../../protocol/deadLetter.js';
import { NO_TIMESTAMP, timeText } from '../../protocol/record.js';
import { withDecoders, withKafka } from '../shared/connections.js';
import { pipelineNamed } from '../shared/chosen.js';
import { parsePlace } from '../shared/parsePlace.js';
import { recordTexts, type RecordTexts } from '../shared/recordTexts.js';
import { forEachLetter, omittedParts, placeOf, type Choice, type Letter } from './letters.js';

/** `ktb dlq show`: prints dead letters one by one, with their values only if asked for. */
export async function showDeadLetters(
  pipeline: string,
  options: Choice & { config: string; limit: number; values: boolean },
): Promise<void> {
  options.record.forEach(parsePlace);
  const config = loadConfig(options.config);
  const chosen = pipelineNamed(config, pipeline);
  let shown = 0;
  const { mapping } = chosen.settings.destination;
  await withDecoders(config, (decoders) =>
    withKafka(config, (kafka, admin) =>
      forEachLetter(kafka, admin, chosen, options, async (letter) => {
        if (shown++ >= options.limit) return;
        const { record, source } = letter;
        const original = { ...record, key: originalKey(record), value: record.value };
        const from = { topic: '', partition: 0, epoch: '', ...source };
        const texts = await recordTexts(from, original, mapping, decoders, options.values ? 'whole' : 'key');
        console.log(JSON.stringify(describe(letter, texts, options.values)));
      }),
    ),
  );
  if (shown > options.limit) console.error(`${shown - options.limit} more; --limit shows them`);
}

/** One line of `ktb dlq show`. */
function describe(letter: Letter, { key, value, ...why }: RecordTexts, values: boolean): object {
  const { record, code, message, omittedBytes, ownTimestampMs } = letter;
  const timestampMs = ownTimestampMs ?? record.timestampMs;
  const omitted = omittedParts(letter).map((part) => [`${part}Omitted`, true]);
  const headers = Object.entries(originalHeaders(record)).map(([name, list]) => [name, list.map(String)]);
  return {
    record: placeOf(letter),
    letter: `${letter.partition}/${record.offset}`,
    ...(timestampMs === NO_TIMESTAMP ? {} : { timestamp: timeText(timestampMs) }),
    code,
    message,
    key,
    bytes: omittedBytes.value ?? record.value?.length ?? null,
    ...(Object.fromEntries(omitted) as object),
    ...(values ? { headers: Object.fromEntries(headers) as object, value } : {}),
    ...why,
  };
}
