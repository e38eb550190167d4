import { parseColumnType, parseTupleElement, typedPaths } from './columnTypes.js';
import { isNumber, smallInteger } from './scalars.js';
import type { ValueCheck } from './valueCheck.js';

/* Checks for enums, also for those inside of other types. */

/** The check for a number, or null, in an enum. */
export function enumCheck(elements: readonly string[]): ValueCheck {
  const values = enumValues(elements);
  return (text, start, end) => {
    if (text[start] === 'n') return values.has(0);
    if (!isNumber(text, start)) return true;
    const value = smallInteger(text, start, end);
    return value === undefined || values.has(value);
  };
}

/**
 * Whether a type can hold zero. ClickHouse stores zero for null, and for a missing element of a tuple, even in an enum
 * without such an element. It accepts the insert, and then nothing of the column can be read in that part any more, not
 * even rows of others.
 */
export function takesZero(text: string): boolean {
  const type = parseColumnType(text);
  switch (type.name) {
    case 'Enum8':
    case 'Enum16':
      return enumValues(type.parameters).has(0);
    case 'Tuple':
      return type.parameters.every((parameter) => takesZero(parseTupleElement(parameter).type));
    case 'JSON':
      return typedPaths(type).every(([, pathType]) => takesZero(pathType));
    default:
      return true;
  }
}

function enumValues(elements: readonly string[]): ReadonlySet<number> {
  return new Set(elements.map((element) => Number(/=\s*(-?\d+)$/.exec(element)?.[1])));
}
