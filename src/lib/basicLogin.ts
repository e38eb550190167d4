/** User and password for the Authorization header (RFC 7617). */
export function basicLogin(user: string, password: string): string {
  return `Basic ${basicCredentials(user, password)}`;
}

/** What stands in that header after the scheme. */
export function basicCredentials(user: string, password: string): string {
  return Buffer.from(`${user}:${password}`).toString('base64');
}
