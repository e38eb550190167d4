import type { JsonWriter } from './jsonWriter.js';
import { UndecodableError } from './errors.js';

/** ClickHouse's largest decimals have 32 bytes. Converting far larger ones would take long. */
const DECIMAL_BYTES_MAX = 64;
/** A whole number of so many bytes is an exact double. */
const SAFE_BYTES = 6;

/**
 * The digits of a number in two's complement, the highest byte first. It is no float on the way.
 *
 * @throws UndecodableError
 */
export function decimalText(bytes: Buffer, at: number, size: number, scale: number): string {
  if (size > DECIMAL_BYTES_MAX) throw new UndecodableError('a decimal has more digits than any column takes');
  let unscaled = '0';
  if (size > 0 && size <= SAFE_BYTES) unscaled = String(bytes.readIntBE(at, size));
  else if (size > 0) unscaled = String(BigInt.asIntN(size * 8, BigInt(`0x${bytes.toString('hex', at, at + size)}`)));
  if (scale === 0) return unscaled;
  const sign = unscaled.startsWith('-') ? '-' : '';
  const digits = unscaled.slice(sign.length).padStart(scale + 1, '0');
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** The shortest text from which the same double is read. A float of 32 bits is written as the double that it is. */
export function writeFloat(out: JsonWriter, value: number): void {
  if (Number.isFinite(value)) out.text(Object.is(value, -0) ? '-0.0' : String(value));
  else out.text(Number.isNaN(value) ? '"nan"' : value > 0 ? '"inf"' : '"-inf"');
}
