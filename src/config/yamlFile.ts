/*
 * Reads YAML. A secret may stand where it is no text, such as `*hunter2`, which is an alias. So no message quotes anything but the
 * names of keys.
 */
import {
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type ParsedNode,
} from 'yaml';
import type { ConfigProblem } from './configProblem.js';
import { ConfigError } from './problems.js';

type Path = ConfigProblem['path'];

/** What a file has. */
interface YamlFile {
  readonly raw: unknown;
  /** The line of the key at a path, or of the nearest parent that the file has. */
  readonly lineOf: (path: Path) => number | undefined;
}

/**
 * @param file its name in messages
 * @throws ConfigError
 */
export function parseYaml(text: string, file: string): YamlFile {
  const lineCounter = new LineCounter();
  // Warnings quote keys that are no texts.
  const document = parseDocument(text, { lineCounter, logLevel: 'error', uniqueKeys: areOneKey });
  const lineOf = (path: Path): number | undefined => lineIn(document, lineCounter, path);
  // A tag that is not known is only a warning, and its text would be used without it.
  const tags = document.warnings.filter(({ code }) => code === 'TAG_RESOLVE_FAILED');
  const errors = [...document.errors, ...tags];
  if (errors.length > 0) throw new ConfigError(file, errors.map(notYaml));
  const mustBeNone = (paths: readonly Path[], message: string): void => {
    if (paths.length === 0) return;
    throw new ConfigError(
      file,
      paths.map((path) => ({ path, message })),
      lineOf,
    );
  };
  mustBeNone(lostAliases(document), 'names an alias that does not exist: put a text that begins with * between quotes');
  mustBeNone(
    changedKeys(document),
    'is a key that YAML reads as a number or the like, not as it is written: put it in quotes',
  );
  try {
    return { raw: document.toJS() as unknown, lineOf };
  } catch {
    // Only too many aliases are left, and the error might quote one.
    throw new ConfigError(file, [{ path: [], message: 'is not YAML that can be used: it has too many aliases' }]);
  }
}

/** The library quotes at the end of a message, after a colon, and in what it says of tags and escapes. */
function notYaml({ message, code, linePos }: Document['errors' | 'warnings'][number]): ConfigProblem {
  const [whole = ''] = message.split('\n');
  const [what = ''] = whole.replace(/ at line \d+, column \d+:?$/, '').split(': ');
  const at = linePos === undefined ? '' : ` at line ${linePos[0].line}, column ${linePos[0].col}`;
  return { path: [], message: `is not YAML: ${UNQUOTED[code] ?? what}${at}` };
}

const UNQUOTED: Readonly<Record<string, string>> = {
  TAG_RESOLVE_FAILED: 'a tag is not known (put a text that begins with ! between quotes)',
  BAD_DQ_ESCAPE: 'Invalid escape sequence',
};

/** Keys become texts: of `7` and `'7'` the first would be lost without a word. */
function areOneKey(one: ParsedNode, other: ParsedNode): boolean {
  return one === other || (isScalar(one) && isScalar(other) && String(one.value) === String(other.value));
}

/** Keys that would become other texts than the file has: `0123`, `0x10`, `1e3`, `True`. */
function changedKeys(document: Document): Path[] {
  const changed: Path[] = [];
  visit(document, {
    Pair: (_, { key }, ancestors) => {
      if (!isScalar(key) || typeof key.value === 'string' || key.source === String(key.value)) return;
      const outer = ancestors.flatMap((node) => (isPair(node) && isScalar(node.key) ? [String(node.key.value)] : []));
      changed.push([...outer, String(key.value)]);
    },
  });
  return changed;
}

/** Where aliases are without an anchor before them. */
function lostAliases(document: Document): Path[] {
  const lost: Path[] = [];
  visit(document, {
    Alias: (_, alias, ancestors) => {
      if (alias.resolve(document) !== undefined) return;
      const keys = ancestors.flatMap((node) => (isPair(node) && isScalar(node.key) ? [String(node.key.value)] : []));
      lost.push(keys);
    },
  });
  return lost;
}

function lineIn(document: Document, lines: LineCounter, path: Path): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true);
    const last = path[length - 1];
    const node = isMap(parent)
      ? parent.items.map(({ key }) => key).find((key) => isScalar(key) && String(key.value) === String(last))
      : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return undefined;
}
