/**
 * As much of ClickHouse's SQL as an HTTP interface must understand before it hands a query to the engine: where a query
 * ends, and where the data of an INSERT begin. Pure; texts are decoded as latin1, so that an index is a byte offset.
 */

/** What {@link readStatement} found. */
export type Statement =
  /** INSERT whose data follow the statement's text: `... FORMAT x` or `... VALUES`. */
  | {
      readonly kind: 'insert-data';
      /** Where the data begin: the text before is the statement. */
      readonly dataStart: number;
      /** Where `SETTINGS`, `FORMAT` or `VALUES` begins: what comes after the table and its columns. */
      readonly clausesStart: number;
      /** `Values` for VALUES. */
      readonly format: string;
      /** `VALUES` was written, not `FORMAT Values`. */
      readonly valuesKeyword: boolean;
    }
  /** INSERT that brings no data: INSERT ... SELECT, or an incomplete one. */
  | { readonly kind: 'insert-select'; readonly secondStatementAt: number | undefined }
  /** INSERT ... SELECT ... FROM input(...) FORMAT x. */
  | { readonly kind: 'insert-input' }
  /** Nothing but space and comments. */
  | { readonly kind: 'empty' }
  /** Anything else; `format` is that of its FORMAT clause. */
  | { readonly kind: 'other'; readonly secondStatementAt: number | undefined; readonly format: string | undefined };

interface Token {
  readonly kind: 'word' | 'quoted' | 'symbol';
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Reads one statement. It need not be valid: judging that is left to the engine. */
export function readStatement(text: string): Statement {
  const tokens = tokensOf(text);
  const first = tokens.next();
  if (first.done) return { kind: 'empty' };
  return isWord(first.value, 'INSERT') ? readInsert(tokens) : readOther(first.value, tokens);
}

/** A string literal of ClickHouse's SQL. */
export function quoteString(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** An identifier of ClickHouse's SQL, whatever characters it has. */
export function quoteIdentifier(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``;
}

function readInsert(tokens: Generator<Token, void>): Statement {
  let token = nextToken(tokens);
  if (isWord(token, 'INTO')) token = nextToken(tokens);
  if (isWord(token, 'TABLE')) token = nextToken(tokens);
  if (isWord(token, 'FUNCTION')) token = nextToken(tokens);
  // The table's name, which may be a word that means something else further on: [database.]table.
  token = nextToken(tokens);
  while (token?.text === '.') {
    nextToken(tokens);
    token = nextToken(tokens);
  }

  let depth = 0;
  let clausesStart: number | undefined;
  for (; token; token = nextToken(tokens)) {
    depth += depthChange(token);
    if (isWord(token, 'SELECT') || isWord(token, 'FROM')) return readInsertSelect(tokens, depth);
    if (depth > 0) continue;
    if (token.text === ';') break;
    if (CLAUSES.some((word) => isWord(token, word))) clausesStart ??= token.start;
    if (isWord(token, 'VALUES')) {
      return insertData({ dataStart: token.end, clausesStart, format: 'Values', valuesKeyword: true });
    }
    if (isWord(token, 'FORMAT')) {
      const format = nextToken(tokens);
      if (format?.kind !== 'word') break;
      return insertData({ dataStart: format.end, clausesStart, format: format.text, valuesKeyword: false });
    }
  }
  return { kind: 'insert-select', secondStatementAt: token ? secondStatement(tokens) : undefined };
}

/** What may follow the table and its columns. */
const CLAUSES = ['SETTINGS', 'FORMAT', 'VALUES'];

function insertData(found: {
  readonly dataStart: number;
  readonly clausesStart: number | undefined;
  readonly format: string;
  readonly valuesKeyword: boolean;
}): Statement {
  return { kind: 'insert-data', ...found, clausesStart: found.clausesStart ?? found.dataStart };
}

function readInsertSelect(tokens: Generator<Token, void>, depthOfSelect: number): Statement {
  let depth = depthOfSelect;
  let last: Token | undefined;
  for (let token = nextToken(tokens); token; token = nextToken(tokens)) {
    depth += depthChange(token);
    if (token.text === '(' && isWord(last, 'INPUT')) return { kind: 'insert-input' };
    if (depth === 0 && token.text === ';') return { kind: 'insert-select', secondStatementAt: secondStatement(tokens) };
    last = token;
  }
  return { kind: 'insert-select', secondStatementAt: undefined };
}

function readOther(first: Token, tokens: Generator<Token, void>): Statement {
  const outer: Token[] = [];
  let depth = 0;
  let secondStatementAt: number | undefined;
  for (let token: Token | undefined = first; token; token = nextToken(tokens)) {
    depth += depthChange(token);
    if (depth > 0) continue;
    if (token.text === ';') {
      secondStatementAt = secondStatement(tokens);
      break;
    }
    outer.push(token);
  }
  // A FORMAT clause is the end of the statement, but for SETTINGS; `SELECT format FROM t` has none.
  const clause = outer.findIndex(
    (token, index) => isWord(token, 'FORMAT') && (index + 2 === outer.length || isWord(outer[index + 2], 'SETTINGS')),
  );
  const format = clause < 0 ? undefined : outer[clause + 1];
  return { kind: 'other', secondStatementAt, format: format?.kind === 'word' ? format.text : undefined };
}

/** Where something other than another semicolon follows a semicolon. */
function secondStatement(tokens: Generator<Token, void>): number | undefined {
  for (let token = nextToken(tokens); token; token = nextToken(tokens)) {
    if (token.text !== ';') return token.start;
  }
  return undefined;
}

function nextToken(tokens: Generator<Token, void>): Token | undefined {
  const next = tokens.next();
  return next.done ? undefined : next.value;
}

function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === 'word' && token.text.toUpperCase() === word;
}

function depthChange(token: Token): number {
  if (token.kind !== 'symbol') return 0;
  if ('([{'.includes(token.text)) return 1;
  return ')]}'.includes(token.text) ? -1 : 0;
}

/** Space and comments: `--`, `#` followed by a space or `!`, and the slash-star kind. */
const SKIPPED = /(?:\s+|--[^\n]*|#[ !][^\n]*|\/\*[^]*?(?:\*\/|$))+/y;
const WORD = /[A-Za-z0-9_\u0080-\u00ff]+/y;
const QUOTED = /'(?:[^'\\]+|\\[^]|'')*'?|"(?:[^"\\]+|\\[^]|"")*"?|`(?:[^`\\]+|\\[^]|``)*`?/y;
const HEREDOC = /\$(\w*)\$[^]*?(?:\$\1\$|$)/y;

function* tokensOf(text: string): Generator<Token, void> {
  let position = 0;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = position;
    // An empty match is no progress.
    const [found = ''] = pattern.exec(text) ?? [];
    return found === '' ? undefined : found;
  };
  while (position < text.length) {
    const skipped = match(SKIPPED);
    if (skipped) {
      position += skipped.length;
      continue;
    }
    const start = position;
    const word = match(WORD);
    const quoted = word === undefined ? (match(QUOTED) ?? match(HEREDOC)) : undefined;
    const found = word ?? quoted ?? text.charAt(position);
    position += found.length;
    yield { kind: word ? 'word' : quoted ? 'quoted' : 'symbol', text: found, start, end: position };
  }
}
