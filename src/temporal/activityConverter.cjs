'use strict';
/*
 * The default converter, which also remembers for what the payloads of activities were encrypted. For workers that take no
 * others. The SDK loads it with `require`, so it is no ES module.
 */
const { defaultPayloadConverter } = require('@temporalio/common');

/** Purposes of the values that came encrypted. */
const purposes = new WeakMap();

exports.payloadConverter = {
  toPayload: (...args) => defaultPayloadConverter.toPayload(...args),
  fromPayload(payload, ...more) {
    const value = defaultPayloadConverter.fromPayload(payload, ...more);
    // `AUTHENTIC_METADATA` of `protocol/encryption.ts`, which the codec has set.
    const purpose = payload.metadata?.['ktb-authentic'];
    if (purpose !== undefined && typeof value === 'object' && value !== null)
      purposes.set(value, Buffer.from(purpose).toString());
    return value;
  },
};

/** What a value was encrypted for. Undefined if it was not. */
exports.purposeOf = (value) => purposes.get(value);
