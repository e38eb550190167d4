import { Connection } from '@temporalio/client';

/** A page of a history has as many bytes as its events: those of large records are more than gRPC's 4 MiB. */
const ANSWER_BYTES_MAX = 128 * 1024 ** 2;

/** Temporal's own client, for the harness. */
export function connectTemporal(address: string): Promise<Connection> {
  return Connection.connect({ address, channelArgs: { 'grpc.max_receive_message_length': ANSWER_BYTES_MAX } });
}
