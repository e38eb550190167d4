// Completes package-lock.json (`npm run lock`, after a dependency changed). npm leaves the packages of other platforms
// out of it where the registry in use does not have them, and `npm ci` then refuses the whole file. Their versions are exact
// in the package that wants them, and their platform is in their names.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const lock = JSON.parse(readFileSync(file, 'utf8'));
const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const EXACT_VERSION = /^\d+\.\d+\.\d+(-[\w.]+)?$/;

const added = {};
for (const { optionalDependencies = {}, dev } of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const path = `node_modules/${name}`;
    if (path in lock.packages || !EXACT_VERSION.test(version)) continue;
    const platform = platformOf(name);
    if (platform !== null) added[path] = { version, ...platform, ...(dev ? { dev } : {}), optional: true };
  }
}
const packages = { ...lock.packages, ...added };
const sorted = Object.keys(packages).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
lock.packages = Object.fromEntries(sorted.map((path) => [path, packages[path]]));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${Object.keys(added).length} packages of other platforms added`);

/** `…-linux-arm64-musl`: system, processor, C library. */
function platformOf(name) {
  const words = name.split(/[/-]/);
  const at = words.findIndex((word) => SYSTEMS.includes(word));
  if (at < 0) return null;
  const os = words[at];
  const cpu = words[at + 1] ?? '';
  const library = words[at + 2] ?? '';
  const libc = os !== 'linux' ? null : library.startsWith('musl') ? 'musl' : library.startsWith('gnu') ? 'glibc' : null;
  return { cpu: [cpu], ...(libc === null ? {} : { libc: [libc] }), os: [os] };
}
