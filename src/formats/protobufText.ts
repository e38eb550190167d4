import { safeName } from './safeNames.js';
import { SchemaError } from './errors.js';

/** What a `.proto` file says about values, in the same lines. */
export interface ProtobufText {
  readonly text: string;
  readonly imports: readonly ProtobufImport[];
}

export interface ProtobufImport {
  readonly name: string;
  /** Whoever imports this file sees that one, too. */
  readonly isPublic: boolean;
}

/** Fields of one message, at most: the parser needs the square of them. And fields and symbols of all files of a schema. */
const NAMES_MAX = { ofMessage: 4_000, ofAll: 20_000 };

/** Counts what the files of one schema define. */
export interface NameCount {
  names: number;
}

/**
 * Removes what says nothing about values: comments, options, services, extensions and what is reserved. Parsers know
 * less of their syntax than compilers do. What is left is not judged here. Its names are safe, see `safeNames.ts`.
 *
 * @param count of the files of the schema that were read before
 * @throws SchemaError if it defines too much to be parsed
 */
export function protobufText(text: string, count: NameCount): ProtobufText {
  return new Reduction(text, count).result();
}

/**
 * White space, a comment, a text, a word with its dots, or one character. What does not end is one token, so that nothing
 * is read twice.
 */
const TOKEN =
  /(\s+|\/\/[^\n]*|\/\*[^]*?(?:\*\/|$))|"[^"\\\n]*(?:\\[^][^"\\\n]*)*(?:"|\n|\\?$)|'[^'\\\n]*(?:\\[^][^'\\\n]*)*(?:'|\n|\\?$)|[\w.]+|[^]/gu;

/** What statements are in. A group is a message. */
type Block = 'file' | 'message' | 'enum' | 'oneof';

/** Options that say how values are encoded, and whether they have presence. */
const KEPT_OPTION = /^(?:packed|features(?:\.\w+)?)$/u;

class Reduction {
  readonly #tokens: readonly string[];
  readonly #count: NameCount;
  readonly #kept: string[] = [];
  readonly #imports: ProtobufImport[] = [];
  readonly #blocks: { readonly is: Block; names: number }[] = [{ is: 'file', names: 0 }];
  #at = 0;

  constructor(text: string, count: NameCount) {
    this.#tokens = tokensOf(text);
    this.#count = count;
  }

  result(): ProtobufText {
    while (this.#passLines() !== undefined) this.#statement();
    return { text: this.#kept.join(''), imports: this.#imports };
  }

  /** Keeps line ends, so that errors name the right line. @returns the next token */
  #passLines(): string | undefined {
    for (; isBlank(this.#tokens[this.#at]); this.#at++) this.#kept.push(this.#tokens[this.#at] as string);
    return this.#tokens[this.#at];
  }

  #statement(): void {
    const first = this.#tokens[this.#at] as string;
    const { is } = this.#blocks.at(-1) as { is: Block };
    if (first === ';') {
      this.#at++;
    } else if (first === '}') {
      this.#at++;
      this.#keep('}');
      if (this.#blocks.length > 1) this.#blocks.pop();
    } else if (first === 'option') {
      this.#option();
    } else if (isDropped(first, is)) {
      this.#drop();
    } else {
      this.#definition(first, is);
    }
  }

  #keep(token: string): void {
    this.#kept.push(token, token === '-' ? '' : ' ');
  }

  /** `option name = value;` */
  #option(): void {
    const option = this.#drop();
    if (KEPT_OPTION.test(nameOf(option.slice(1)))) for (const token of option) this.#keep(token);
  }

  /** Passes over a statement, to its semicolon or the end of its block. @returns its tokens */
  #drop(): string[] {
    const dropped: string[] = [];
    const mayBeBlock = this.#tokens[this.#at] !== 'option';
    let depth = 0;
    for (let token = this.#next(); ; token = this.#next()) {
      dropped.push(token);
      depth += nesting(token);
      if (depth < 0) throw new SchemaError(`a ${dropped[0] ?? 'statement'} does not end`);
      if (depth === 0 && (token === ';' || (mayBeBlock && token === '}'))) return dropped;
    }
  }

  #next(): string {
    const token = this.#passLines();
    if (token === undefined) throw new SchemaError('its text ends too early');
    this.#at++;
    return token;
  }

  #definition(first: string, is: Block): void {
    const words: string[] = [];
    for (let token = this.#passLines(); token !== undefined; token = this.#passLines()) {
      if (token === '[') {
        this.#inlineOptions();
        continue;
      }
      if (token === '}') break;
      this.#at++;
      this.#keep(/^\w/u.test(token) ? safeName(token) : token);
      if (token === '=' && is !== 'file') this.#countName();
      if (token === ';') break;
      if (token === '{') {
        this.#open(blockOf(words, is));
        return;
      }
      words.push(token);
    }
    if (first === 'import' && is === 'file') this.#import(words);
  }

  #open(is: Block): void {
    this.#blocks.push({ is, names: 0 });
    // The registry has seen that two symbols may have the same number.
    if (is === 'enum') this.#kept.push('option allow_alias = true; ');
  }

  #countName(): void {
    // Fields of a oneof are fields of its message.
    const block = this.#blocks.findLast(({ is }) => is !== 'oneof') as { readonly is: Block; names: number };
    if (block.is === 'message' && ++block.names > NAMES_MAX.ofMessage)
      throw new SchemaError(`a message has more than ${NAMES_MAX.ofMessage} fields`);
    if (++this.#count.names > NAMES_MAX.ofAll)
      throw new SchemaError(`its files have more than ${NAMES_MAX.ofAll} fields and symbols`);
  }

  /** `[name = value, …]` */
  #inlineOptions(): void {
    const kept: string[] = [];
    let option: string[] = [];
    const end = (): void => {
      if (KEPT_OPTION.test(nameOf(option))) kept.push(option.join(' '));
      option = [];
    };
    let depth = 0;
    for (let token = this.#next(); ; token = this.#next()) {
      depth += nesting(token);
      if (depth <= 0) break;
      if (token === ',' && depth === 1) end();
      else if (token !== '[' || depth > 1) option.push(token);
    }
    end();
    if (kept.length > 0) this.#kept.push(`[${kept.join(', ')}] `);
  }

  #import([, ...words]: readonly string[]): void {
    const texts = words.filter((word) => /^["']/u.test(word)).map((word) => word.slice(1, -1));
    this.#imports.push({ name: texts.join(''), isPublic: words[0] === 'public' });
  }
}

function nesting(token: string): number {
  return token === '{' || token === '[' || token === '(' ? 1 : token === '}' || token === ']' || token === ')' ? -1 : 0;
}

/** Comments are not among them, only the line ends that they have. */
function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  for (const [token, blank] of text.matchAll(TOKEN)) {
    if (token.startsWith('/*') && !(token.length >= 4 && token.endsWith('*/')))
      throw new SchemaError('a comment does not end');
    if (blank === undefined) tokens.push(token);
    else if (blank.includes('\n')) tokens.push('\n'.repeat(blank.split('\n').length - 1));
  }
  return tokens;
}

function isBlank(token: string | undefined): boolean {
  return token?.startsWith('\n') === true;
}

/** Enums may have symbols, and oneofs types, of such names. */
function isDropped(first: string, is: Block): boolean {
  switch (first) {
    case 'service':
      return is === 'file';
    case 'extend':
      return is === 'file' || is === 'message';
    case 'extensions':
      return is === 'message';
    case 'reserved':
      return is === 'message' || is === 'enum';
    default:
      return false;
  }
}

/** What begins with the words. */
function blockOf([first]: readonly string[], is: Block): Block {
  if (first === 'enum' && (is === 'file' || is === 'message')) return 'enum';
  return first === 'oneof' && is === 'message' ? 'oneof' : 'message';
}

function nameOf(option: readonly string[]): string {
  const end = option.indexOf('=');
  return end === -1 ? '' : option.slice(0, end).join('');
}
