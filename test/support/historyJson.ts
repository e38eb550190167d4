import proto from '@temporalio/proto';

const { History } = proto.temporal.api.history.v1;
type IHistory = proto.temporal.api.history.v1.IHistory;

/**
 * A history as plain JSON: enums by name, bytes in base64. The SDK's own conversion fails where npm has installed more
 * than one protobufjs.
 */
export function historyToJson(history: IHistory): unknown {
  return History.toObject(History.fromObject(history), { enums: String, longs: String, bytes: String });
}

/** The opposite of {@link historyToJson}, as `Worker.runReplayHistories` takes it. */
export function historyFromJson(json: unknown): proto.temporal.api.history.v1.History {
  return History.fromObject(json as Record<string, unknown>);
}
