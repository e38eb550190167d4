// Says whether a version stands everywhere, and makes in release/ what a release publishes: npm package, chart, bill of materials, list of
// licences, notes. Publishes nothing. `npm run release -- v0.2.0`; Helm has to be on the PATH.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = `${root}release`;
const chart = `${root}deploy/helm/kafka-temporal-bridge`;

/**
 * Makes the bill of materials of what is installed for production. npm's own `npm sbom --omit dev` leaves out two thirds of it,
 * such as @clickhouse/client: what is also needed for development. It has a lock file of its own, since only a release needs it,
 * and runs no scripts of what it installs: a release has the right to publish.
 */
const SBOM = `${root}scripts/sbom`;
const SBOM_TOOL = `${SBOM}/node_modules/@cyclonedx/cyclonedx-npm/bin/cyclonedx-npm-cli.js`;

/** Licences under which a dependency may be: none asks more than to be named. */
const PERMITTED = new Set(
  'MIT, Apache-2.0, BSD-2-Clause, BSD-3-Clause, ISC, 0BSD, Unlicense, BlueOak-1.0.0, CC-BY-4.0'.split(', '),
);

/** Licences of packages whose package.json does not tell them. */
const TOLD_ELSEWHERE = { unionfs: 'Unlicense' };

const tag = process.argv[2] ?? '';
const version = tag.replace(/^v/, '');
const problems = versionProblems();
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}

rmSync(target, { recursive: true, force: true });
mkdirSync(`${target}/chart`, { recursive: true });
run('npm', ['pack', '--pack-destination', target]);
run('helm', ['package', chart, '--destination', `${target}/chart`]);
run('npm', ['ci', '--prefix', SBOM, '--omit', 'optional', '--ignore-scripts']);
run('node', [SBOM_TOOL, '--omit', 'dev', '--output-reproducible', '--output-file', `${target}/sbom.cdx.json`]);
writeFileSync(`${target}/licences.txt`, licences());
writeFileSync(`${target}/notes.md`, notes() ?? '');
console.log(`release/ has everything of ${version}`);

function versionProblems() {
  const { version: ofPackage } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
  const { version: ofChart, appVersion } = parse(readFileSync(`${chart}/Chart.yaml`, 'utf8'));
  const places = { 'package.json': ofPackage, "the chart's version": ofChart, "the chart's appVersion": appVersion };
  return [
    ...(tag === '' ? ['say which version: npm run release -- v0.2.0'] : []),
    ...Object.entries(places).flatMap(([place, found]) =>
      tag === '' || found === version ? [] : [`${place} is ${found}, not ${version}`],
    ),
    ...(tag !== '' && notes() === undefined ? [`CHANGELOG.md has no section [${version}] with a date`] : []),
  ];
}

/** What CHANGELOG.md says of the version. */
function notes() {
  const sections = readFileSync(`${root}CHANGELOG.md`, 'utf8').split(/^## /m);
  const own = sections.find((section) => section.startsWith(`[${version}] - `));
  return own?.slice(own.indexOf('\n') + 1).trim();
}

/** A line a package. Ends the process where a licence is not permitted. */
function licences() {
  const { components } = JSON.parse(readFileSync(`${target}/sbom.cdx.json`, 'utf8'));
  const lines = components.map(({ group, name, version: of, licenses = [] }) => {
    const told = licenses.map(({ license, expression }) => expression ?? license.id ?? license.name).join(' AND ');
    const licence = told === '' ? (TOLD_ELSEWHERE[name] ?? 'unknown') : told;
    return { name: group === undefined ? name : `${group}/${name}`, of, licence };
  });
  const others = lines.filter(({ licence }) => licence.split(' AND ').some((one) => !PERMITTED.has(one)));
  if (others.length > 0) {
    console.error(
      others.map(({ name, licence }) => `${name} has the licence ${licence}, which is not permitted`).join('\n'),
    );
    process.exit(1);
  }
  return lines.map(({ name, of, licence }) => `${name} ${of}: ${licence}\n`).join('');
}

function run(command, args) {
  execFileSync(command, args, { cwd: root, stdio: 'inherit' });
}
