'use strict';
/*
 * The default converter, which also remembers for what the payloads of activities were encrypted, and takes down for what
 * they are to be encrypted. For workers. The SDK loads it with `require`, so it is no ES module.
 */
const { defaultPayloadConverter } = require('@temporalio/common');

/** As in `protocol/encryption.ts`. */
const REFUSED_ENCODING = 'binary/ktb-refused';

/** Purposes of the values that came encrypted. */
const read = new WeakMap();
/** Purposes of the values that are to be encrypted. */
const intended = new WeakMap();

const isObject = (value) => typeof value === 'object' && value !== null;

exports.payloadConverter = {
  toPayload(value, ...more) {
    const payload = defaultPayloadConverter.toPayload(value, ...more);
    const purpose = isObject(value) ? intended.get(value) : undefined;
    // `PURPOSE_METADATA` of `protocol/encryption.ts`, which the codec takes out again.
    return purpose === undefined
      ? payload
      : { ...payload, metadata: { ...payload.metadata, 'ktb-purpose': Buffer.from(purpose) } };
  },
  fromPayload(payload, ...more) {
    // The default converter would throw, and notes of an attempt that somebody has made up would keep all later attempts
    // from beginning.
    if (Buffer.from(payload.metadata?.encoding ?? []).toString() === REFUSED_ENCODING)
      return { encoding: REFUSED_ENCODING };
    const value = defaultPayloadConverter.fromPayload(payload, ...more);
    // `AUTHENTIC_METADATA` of `protocol/encryption.ts`, which the codec has set.
    const purpose = payload.metadata?.['ktb-authentic'];
    if (purpose !== undefined && isObject(value)) read.set(value, Buffer.from(purpose).toString());
    return value;
  },
};

/** What a value was encrypted for. Null if it was not. */
exports.purposeOf = (value) => read.get(value) ?? null;

/** Says what a value is for, before it is encrypted. */
exports.intend = (value, purpose) => {
  intended.set(value, purpose);
  return value;
};
