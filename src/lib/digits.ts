/**
 * Writes an integer that is not negative as decimal digits, without a string.
 *
 * @param value up to 2^53. Its digits must have room
 * @returns the place after the last digit
 */
export function writeDigits(bytes: Uint8Array, at: number, value: number): number {
  let start = at;
  let rest = value;
  if (rest >= LOW) {
    const high = Math.floor(rest / LOW);
    start = writeDigits(bytes, at, high);
    rest -= high * LOW;
    writeLastDigits(bytes, start, start + LOW_DIGITS, rest);
    return start + LOW_DIGITS;
  }
  let end = at + 1;
  for (let power = 10; power <= rest; power *= 10) end++;
  writeLastDigits(bytes, start, end, rest);
  return end;
}

/** Numbers below this one are computed as integers of 32 bits. */
const LOW = 1e9;
const LOW_DIGITS = 9;

/** The last digits of a number, as many as fit between two places, with leading zeros. */
export function writeLastDigits(bytes: Uint8Array, from: number, to: number, value: number): void {
  let rest = value | 0;
  for (let at = to - 1; at >= from; at--) {
    const tens = (rest / 10) | 0;
    bytes[at] = ZERO + rest - tens * 10;
    rest = tens;
  }
}

const ZERO = 48;
