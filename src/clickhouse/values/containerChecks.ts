import { latin1 } from '../../lib/latin1.js';
import { parseTupleElement } from './columnTypes.js';
import { takesZero } from './enumChecks.js';
import { everyItem, objectMembers } from './json.js';
import { keyNames } from './mapKeys.js';
import type { ValueCheck, ValueLimits } from './valueCheck.js';

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
    const members = objectMembers(text, start);
    if (members.length > 1 && new Set(members.map(({ name }) => nameOf(name))).size < members.length) return false;
    return members.every(
      (member) =>
        (key?.(text, member.nameStart, member.nameEnd) ?? true) && (value?.(text, member.start, member.end) ?? true),
    );
  };
}

export function tupleCheck(
  parameters: readonly string[],
  checkOfType: (type: string) => ValueCheck | undefined,
): ValueCheck | undefined {
  const elements = parameters.map(parseTupleElement);
  const checks = elements.map(({ type }) => checkOfType(type));
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
    const members = objectMembers(text, start);
    // ClickHouse drops members without an element, and does not resolve escapes in names.
    return (
      members.every(
        ({ name, escaped, start: from, end }) =>
          !escaped && names.has(name) && (names.get(name)?.(text, from, end) ?? true),
      ) && required.every((name) => members.some((member) => member.name === name))
    );
  };
}
