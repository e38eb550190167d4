// Writes the parts of docs/ that come from the code: `npm run docs`. A test says when they are out of date.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configReference } from '../src/config/reference.js';

const file = fileURLToPath(new URL('../docs/configuration.md', import.meta.url));
const MARK = '<!-- generated below: npm run docs -->\n';
const head = readFileSync(file, 'utf8').split(MARK)[0] ?? '';
writeFileSync(file, `${head}${MARK}\n${configReference()}`);
