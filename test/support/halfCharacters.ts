/** Texts with escapes, and whether they have the second half of a character without its first half. */
export const HALF_CHARACTERS = [
  ['\\ud83d\\ude00', false],
  ['\\ud83d', false],
  ['\\ude00', true],
  ['\\ud83d\\ude00\\ude00', true],
  ['\\ud83d\\ud83d\\ude00', false],
  ['\\\\ud83d', false],
  ['\\u0041', false],
] as const;
