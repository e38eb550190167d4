import { skippedPaths, typedPaths, type ColumnType } from './columnTypes.js';
import { takesZero } from './enumChecks.js';
import { nullsCheck, numbersCheck } from './inferredChecks.js';
import { everyMember, textOfString } from './jsonText.js';
import { allOf, type ValueCheck, type ValueLimits } from './valueCheck.js';

/** What a JSON column's type says of a path, and of the paths below it, by their next part. */
interface JsonPath {
  /** ClickHouse leaves out what is here and below. */
  isSkipped: boolean;
  hasType: boolean;
  /** The check of the type, if it has one. */
  check: ValueCheck | undefined;
  readonly parts: Map<string, JsonPath>;
}

/**
 * The check for a JSON column. Paths without a type are checked by {@link nullsCheck}. At a path with a type, the type's
 * check decides on null. What a member costs does not depend on how many paths the type names.
 */
export function pathsCheck(
  type: ColumnType,
  limits: ValueLimits,
  checkOfPath: (type: string) => ValueCheck | undefined,
): ValueCheck | undefined {
  const typed = typedPaths(type);
  const untyped = allOf([numbersCheck(false, limits), nullsCheck]);
  const root = newPath();
  const numbers = numbersCheck(false);
  for (const [name, pathType] of typed) {
    const path = pathOf(root, name);
    path.hasType = true;
    path.check = allOf([numbers, checkOfPath(pathType)]);
  }
  for (const name of skippedPaths(type)) pathOf(root, name).isSkipped = true;
  if (root.parts.size === 0) return untyped;
  const holds = (text: string, at: number, outer: JsonPath): boolean =>
    everyMember(text, at, (nameStart, nameEnd, start, end) => {
      const path = pathBelow(outer, textOfString(text, nameStart, nameEnd));
      if (path?.isSkipped === true) return true;
      if (path?.hasType === true) return path.check?.(text, start, end) ?? true;
      if (path !== undefined && path.parts.size > 0 && text[start] === '{') return holds(text, start, path);
      return untyped?.(text, start, end) ?? true;
    });
  const takesNull = typed.every(([, pathType]) => takesZero(pathType));
  return (text, start) => (text[start] === 'n' ? takesNull : holds(text, start, root));
}

function newPath(): JsonPath {
  return { isSkipped: false, hasType: false, check: undefined, parts: new Map() };
}

/** Makes a path known, with those that lead to it. */
function pathOf(root: JsonPath, name: string): JsonPath {
  let path = root;
  for (const part of name.split('.')) {
    const next = path.parts.get(part) ?? newPath();
    path.parts.set(part, next);
    path = next;
  }
  return path;
}

/**
 * The path of a member, whose name may have dots. A path that is skipped stands for all below it. Undefined if the type
 * names neither the path nor one below it.
 */
function pathBelow(outer: JsonPath, name: string): JsonPath | undefined {
  let path: JsonPath | undefined = outer;
  for (let from = 0, dot = 0; dot >= 0 && path?.isSkipped === false; from = dot + 1) {
    dot = name.indexOf('.', from);
    path = path.parts.get(dot < 0 ? name.slice(from) : name.slice(from, dot));
  }
  return path;
}
