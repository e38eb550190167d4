/** Whether a host of an address or URL is this machine. IPv6 stands in brackets there. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host);
}
