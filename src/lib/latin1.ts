/** A text as one character per byte of its UTF-8, as bytes that may be no UTF-8 are kept in texts. */
export function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** The reverse of {@link latin1}. What is no UTF-8 becomes U+FFFD. */
export function fromLatin1(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString();
}
