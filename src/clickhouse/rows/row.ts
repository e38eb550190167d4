import type { Rejection } from '../../protocol/ack.js';

/**
 * A row as one line of `JSONEachRow`, one character per byte (`latin1`), so that bytes which are not checked stay
 * unchanged. Or a rejection, if the record cannot become a row.
 */
export type Row = string | Rejection;
