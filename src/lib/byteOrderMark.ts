/** Bytes of UTF-8's byte-order mark. */
export const MARK_BYTES = 3;

/** Whether the bytes between two places begin with UTF-8's byte-order mark. */
export function beginsWithMark(bytes: Buffer, from: number, to: number): boolean {
  return bytes[from] === 0xef && from + MARK_BYTES <= to && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf;
}

/** The bytes after a byte-order mark, or all of them if there is none. */
export function withoutMark(bytes: Buffer): Buffer {
  return beginsWithMark(bytes, 0, bytes.length) ? bytes.subarray(MARK_BYTES) : bytes;
}
