/** Codes of ClickHouse's exceptions that this front raises by itself; all others come from the engine. */
export const ERROR = {
  NOT_IMPLEMENTED: { code: 48, name: 'NOT_IMPLEMENTED' },
  SYNTAX_ERROR: { code: 62, name: 'SYNTAX_ERROR' },
  UNKNOWN_SETTING: { code: 115, name: 'UNKNOWN_SETTING' },
  AUTHENTICATION_FAILED: { code: 516, name: 'AUTHENTICATION_FAILED' },
  QUERY_IS_TOO_LARGE: { code: 229, name: 'QUERY_IS_TOO_LARGE' },
  ZLIB_INFLATE_FAILED: { code: 354, name: 'ZLIB_INFLATE_FAILED' },
  BAD_ARGUMENTS: { code: 36, name: 'BAD_ARGUMENTS' },
  STD_EXCEPTION: { code: 1001, name: 'STD_EXCEPTION' },
} as const;

/** An exception of ClickHouse, as its HTTP interface reports it. */
export class ClickHouseException extends Error {
  override readonly name = 'ClickHouseException';
  readonly code: number;

  /** @param message all of it, from `Code:` to the name in parentheses */
  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** An exception that the front raises itself. */
export function exception(error: { readonly code: number; readonly name: string }, text: string): ClickHouseException {
  return new ClickHouseException(error.code, `Code: ${error.code}. DB::Exception: ${text}. (${error.name})`);
}

/**
 * Turns what the engine threw into the text that a server would have sent. The engine is an embedded client as well as a
 * server, so that its texts can be wrapped in a second exception, and name the file that stood in for a request's body.
 */
export function fromEngine(error: unknown): ClickHouseException {
  const text = error instanceof Error ? error.message : String(error);
  const code = Number(/^Code: (\d+)\./.exec(text)?.[1] ?? ERROR.STD_EXCEPTION.code);
  const message = unwrap(text.trimEnd())
    .replaceAll(/\(in file\/uri [^)]*\): /g, '')
    .replaceAll(': While executing File', '')
    .replaceAll(/: data for INSERT was parsed from (?:file|query)/g, '');
  return new ClickHouseException(code, message, { cause: error });
}

/** `Code: 1. DB::Exception: Code: 1. DB::Exception: text. (NAME) (version x). (NAME)` holds one exception, not two. */
function unwrap(text: string): string {
  const inner =
    /^Code: \d+\. DB::Exception: (Code: \d+\. DB::Exception: [^]*\([A-Z_0-9]+\)) \(version [^)]*\)\. \([A-Z_0-9]+\)$/;
  let unwrapped = text;
  for (let match = inner.exec(unwrapped); match?.[1] !== undefined; match = inner.exec(unwrapped)) unwrapped = match[1];
  return unwrapped;
}

/**
 * The HTTP status of each code that has one of its own; 500 for all others.
 * Source: ClickHouse, src/Server/HTTP/exceptionCodeToHTTPStatus.cpp.
 */
const STATUS: ReadonlyMap<number, number> = new Map([
  // What is wrong with the data: CANNOT_PARSE_*, TYPE_MISMATCH, INCORRECT_DATA, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE.
  ...each(400, [6, 25, 26, 27, 38, 41, 53, 72, 117, 321, 376, 441, 675, 676]),
  // What is wrong with the query: SYNTAX_ERROR, BAD_ARGUMENTS, columns, regular expressions, its size.
  ...each(400, [8, 15, 36, 37, 44, 62, 123, 167, 168, 223, 427]),
  [194, 401],
  ...each(403, [192, 193, 497, 512, 516]),
  // UNKNOWN_: table, database, identifier, function, type, setting, format, storage and the like.
  ...each(404, [46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511]),
  [159, 408],
  [381, 411],
  [229, 413],
  [48, 501],
  [779, 415],
  ...each(503, [76, 209, 439]),
]);

function each(status: number, codes: readonly number[]): [number, number][] {
  return codes.map((code) => [code, status]);
}

/** The HTTP status that ClickHouse's server answers an exception with. */
export function httpStatusOf(code: number): number {
  return STATUS.get(code) ?? 500;
}
