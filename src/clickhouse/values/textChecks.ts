import { textOfString } from './jsonText.js';
import { isNumber, isString, SAFE_DIGITS, smallInteger } from './scalars.js';
import { isInVariant, type Place, type ValueCheck, type ValueLimits } from './valueCheck.js';

/* Checks for UUIDs, addresses and texts. */

/** The check for a UUID. Older servers make a digit of any byte. */
export function uuidCheck(place: Place, limits: ValueLimits): ValueCheck {
  const takesText = (content: string): boolean =>
    isInVariant(place) && (limits.refusesNearly || !NEARLY_UUID.test(content));
  return (text, start, end) => {
    if (!isString(text, start)) return true;
    const content = textOfString(text, start, end);
    return UUID.test(content) || takesText(content);
  };
}

const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$|^[\da-f]{32}$/i;

/** What older servers read as a UUID: they look at the length, and with hyphens at their places. */
const NEARLY_UUID = /^(?:[^]{8}(?:-[^]{4}){3}-[^]{12}|[^]{32})$/;

/** The check for an IPv6. `1::2:` is read without its last colon, by every server. */
export const ipv6Check: ValueCheck = (text, start, end) => {
  if (!isString(text, start)) return true;
  const content = textOfString(text, start, end);
  if (!content.endsWith(':') || content.endsWith('::')) return true;
  return !content.includes('::') || !OF_IPV6.test(content);
};

const OF_IPV6 = /^[\da-f:.]+$/i;

/** At a path of texts, ClickHouse rewrites numbers: as the nearest float, if they have a fraction or are too large. */
export const textPathCheck: ValueCheck = (text, start, end) => {
  if (!isNumber(text, start)) return true;
  const digits = text.slice(start, end);
  return smallInteger(text, start, end) === undefined ? String(Number(digits)) === digits : end - start <= SAFE_DIGITS;
};

/** At a path of fixed-length texts, ClickHouse would turn everything that fits into a text. */
export const fixedTextPathCheck: ValueCheck = (text, start) => isString(text, start) || text[start] === 'n';
