import { latin1 } from '../../lib/latin1.js';
import { parseTupleElement } from './columnTypes.js';
import { takesZero } from './enumChecks.js';
import { everyItem, everyMember, textOfString } from './jsonText.js';
import { keyNames } from './mapKeys.js';
import type { LeavesOut, ValueCheck, ValueLimits } from './valueCheck.js';

/* Checks for types that contain others. The checks for these are passed in. */

export function nullableCheck(check: ValueCheck | undefined): ValueCheck | undefined {
  return check && ((text, start, end) => text[start] === 'n' || check(text, start, end));
}

export function arrayCheck(item: ValueCheck | undefined): ValueCheck | undefined {
  if (item === undefined) return undefined;
  return (text, start) => text[start] !== '[' || everyItem(text, start, (from, to) => item(text, from, to));
}

/** The check for a Map. If a key occurs twice, in whatever form, readers see only one of its values. */
export function mapCheck(
  keyType: string,
  key: ValueCheck | undefined,
  value: ValueCheck | undefined,
  { timeZone }: ValueLimits,
): ValueCheck {
  const nameOf = keyNames(keyType, timeZone);
  return (text, start) => {
    if (text[start] !== '{') return true;
    const names = new Set<string>();
    return everyMember(text, start, (nameStart, nameEnd, from, to) => {
      const name = nameOf(textOfString(text, nameStart, nameEnd));
      if (names.has(name)) return false;
      names.add(name);
      return (key?.(text, nameStart, nameEnd) ?? true) && (value?.(text, from, to) ?? true);
    });
  };
}

/** @param leavesOut undefined: a value with a member that has no element does not fit */
export function tupleCheck(
  parameters: readonly string[],
  checkOfType: (type: string, name?: string) => ValueCheck | undefined,
  leavesOut: LeavesOut | undefined,
): ValueCheck | undefined {
  const elements = parameters.map(parseTupleElement);
  const checks = elements.map(({ type, name }) => checkOfType(type, name && latin1(name)));
  const names = new Map(elements.map(({ name }, index) => [name && latin1(name), checks[index]]));
  const isNamed = elements.some(({ name }) => name !== undefined);
  const required = elements.filter(({ type }) => !takesZero(type)).map(({ name }) => name && latin1(name));
  if (!isNamed && checks.every((check) => check === undefined)) return undefined;
  return (text, start) => {
    if (text[start] === 'n') return required.length === 0;
    if (text[start] === '[') {
      let index = 0;
      return everyItem(text, start, (from, to) => checks[index++]?.(text, from, to) ?? true);
    }
    if (text[start] !== '{' || !isNamed) return true;
    const missing = new Set(required);
    // ClickHouse drops members without an element, and does not resolve escapes in names.
    const fits = everyMember(text, start, (nameStart, nameEnd, from, to) => {
      const name = text.slice(nameStart + 1, nameEnd - 1);
      missing.delete(name);
      if (!name.includes('\\') && names.has(name)) return names.get(name)?.(text, from, to) ?? true;
      const resolved = textOfString(text, nameStart, nameEnd);
      return !names.has(resolved) && leavesOut?.(resolved) === true;
    });
    return fits && missing.size === 0;
  };
}
