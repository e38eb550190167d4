import { textOfString } from './jsonText.js';
import { isNumber, isString } from './scalars.js';
import { textPathCheck } from './textChecks.js';
import { allOf, isAtPath, type Place, type ValueCheck } from './valueCheck.js';

/**
 * The check for a Variant with these types.
 *
 * @param checkAt the check for one of them at a place
 */
export function variantCheck(
  parameters: readonly string[],
  place: Place,
  checkAt: (type: string, place: Place) => ValueCheck | undefined,
): ValueCheck | undefined {
  const inside = placeInVariant(place, parameters);
  return allOf([
    ...parameters.map((type) => checkAt(type, inside)),
    isAtPath(place) ? variantPathCheck(parameters) : variantTextCheck(parameters),
  ]);
}

/** At a path, another type of a Variant besides its integers may take a fraction or a text unchanged. */
function placeInVariant(place: Place, parameters: readonly string[]): Place {
  return isAtPath(place) && !parameters.some((type) => TAKES_FRACTIONS.test(type)) ? 'pathVariant' : 'variant';
}

/**
 * At a path, a Variant with `Bool` turns all integers up to 255 into true or false, even if another of its types could
 * take them. A Variant with texts but no numbers writes numbers in its own way.
 */
function variantPathCheck(parameters: readonly string[]): ValueCheck | undefined {
  const takesText = parameters.some((type) => TAKES_TEXT.test(type));
  const takesNumbers = parameters.some((type) => TAKES_NUMBERS.test(type));
  return allOf([
    parameters.includes('Bool') ? boolOfVariantCheck(takesText) : undefined,
    takesText && !takesNumbers ? textPathCheck : undefined,
  ]);
}

/**
 * A Variant column with integers or floats turns the texts `true` and `false` into 1 and 0, even if it also takes
 * texts.
 */
function variantTextCheck(parameters: readonly string[]): ValueCheck | undefined {
  if (!parameters.some((type) => TAKES_TEXT.test(type)) || !parameters.some((type) => TAKES_BITS.test(type)))
    return undefined;
  return (text, start, end) => {
    if (!isString(text, start) || end - start > '"false"'.length) return true;
    const content = text.slice(start + 1, end - 1);
    return content !== 'true' && content !== 'false';
  };
}

function boolOfVariantCheck(takesText: boolean): ValueCheck {
  return (text, start, end) => {
    const isText = isString(text, start);
    if (!isText && !isNumber(text, start)) return true;
    const content = isText ? textOfString(text, start, end) : text.slice(start, end);
    const value = Number(content);
    if (!(value >= 0 && value <= BOOL_INTEGER_MAX)) return true;
    if (isText) return !/^\+?\d+$/.test(content) || (!takesText && (content === '0' || content === '1'));
    return !Number.isInteger(value) || value === 1 || Object.is(value, 0);
  };
}

const BOOL_INTEGER_MAX = 255;
const TAKES_BITS = /^(?:LowCardinality\()?(?:U?Int|Float|BFloat)/;
const TAKES_TEXT = /^(?:LowCardinality\()?(?:String|FixedString)/;
const TAKES_NUMBERS = /^(?:U?Int|Float|BFloat|Decimal)/;
const TAKES_FRACTIONS = /^(?:LowCardinality\()?(?:String|FixedString|Float|BFloat|Decimal)/;
