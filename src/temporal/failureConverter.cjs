'use strict';
/*
 * Puts the message and the stack trace of failures into a payload, which the codec encrypts. For the workers of a
 * process that encrypts. The SDK loads it with `require`, so it is no ES module.
 */
const { DefaultFailureConverter } = require('@temporalio/common');

exports.failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
