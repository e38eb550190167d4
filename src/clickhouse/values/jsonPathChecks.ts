import { skippedPaths, typedPaths, type ColumnType } from './columnTypes.js';
import { takesZero } from './enumChecks.js';
import { nullsCheck, numbersCheck } from './inferredChecks.js';
import { objectMembers } from './json.js';
import { allOf, type ValueCheck, type ValueLimits } from './valueCheck.js';

/**
 * The check for a JSON column. Paths without a type are checked by {@link nullsCheck}. At a path with a type, the type's
 * check decides on null.
 */
export function pathsCheck(
  type: ColumnType,
  limits: ValueLimits,
  checkOfPath: (type: string) => ValueCheck | undefined,
): ValueCheck | undefined {
  const typed = typedPaths(type);
  const skipped = skippedPaths(type);
  const numbers = numbersCheck(false);
  const paths = new Map(typed.map(([path, pathType]) => [path, allOf([numbers, checkOfPath(pathType)])]));
  const untyped = allOf([numbersCheck(false, limits), nullsCheck]);
  const names = [...paths.keys(), ...skipped];
  if (names.length === 0) return untyped;
  const holds = (text: string, start: number, prefix: string): boolean =>
    objectMembers(text, start).every((member) => {
      const path = prefix + member.name;
      if (skipped.some((name) => path === name || path.startsWith(`${name}.`))) return true;
      const leads = text[member.start] === '{' && names.some((name) => name.startsWith(`${path}.`));
      if (leads && !paths.has(path)) return holds(text, member.start, `${path}.`);
      return (paths.get(path) ?? untyped)?.(text, member.start, member.end) ?? true;
    });
  const takesNull = typed.every(([, pathType]) => takesZero(pathType));
  return (text, start) => (text[start] === 'n' ? takesNull : holds(text, start, ''));
}
