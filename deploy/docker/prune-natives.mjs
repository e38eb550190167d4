// Removes the native cores of other platforms: @temporalio/core-bridge ships all of them in one package. The other native
// packages come one by platform, and npm installs only the one that fits.
import { readdirSync, rmSync } from 'node:fs';

const CPUS = { x64: 'x86_64', arm64: 'aarch64' };
const releases = 'node_modules/@temporalio/core-bridge/releases';

const own = `${CPUS[process.arch]}-unknown-linux-gnu`;
const all = readdirSync(releases);
if (!all.includes(own))
  throw new Error(`@temporalio/core-bridge has no native core for ${own}, only ${all.join(', ')}.`);
for (const name of all) if (name !== own) rmSync(`${releases}/${name}`, { recursive: true });
