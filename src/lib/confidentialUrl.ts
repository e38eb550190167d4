import { isLoopback } from './loopback.js';

/** Whether nobody on the network can read or change what goes to an address and comes back: https, or http on this machine. */
export function isConfidential({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}
