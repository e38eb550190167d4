import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/**
 * Which folders of src/ each folder may import from, besides itself. They stand in floors: a folder imports only from those below its own.
 * See "Layout" in ARCHITECTURE.md.
 */
const MAY_IMPORT = {
  lib: [],
  protocol: [],
  codecs: ['protocol', 'lib'],
  config: ['protocol', 'lib'],
  telemetry: ['lib'],
  // These two run in Temporal's sandbox.
  workflows: ['protocol'],
  requester: ['protocol'],
  // Side by side: each talks to one part.
  kafka: ['protocol', 'codecs', 'config', 'telemetry', 'lib'],
  // A closed run's history is read with the state that wrote it.
  temporal: ['protocol', 'codecs', 'config', 'telemetry', 'lib', 'workflows'],
  // The decoders of values. They are below ClickHouse, whose rows are made of what they give.
  formats: ['protocol', 'config', 'lib'],
  clickhouse: ['formats', 'protocol', 'codecs', 'config', 'lib'],
  connections: ['kafka', 'temporal', 'clickhouse', 'config', 'lib'],
  installation: ['temporal', 'protocol', 'config', 'telemetry', 'lib'],
  // What chooses a batcher may be in a value that has to be decoded.
  consumer: ['kafka', 'temporal', 'formats', 'protocol', 'codecs', 'config', 'telemetry', 'lib'],
  activities: ['kafka', 'temporal', 'clickhouse', 'formats', 'workflows', 'protocol', 'codecs', 'telemetry', 'lib'],
};
const FOLDERS = [...Object.keys(MAY_IMPORT), 'daemon', 'commands'];
/** The floor above: everything is put together here. */
MAY_IMPORT.daemon = Object.keys(MAY_IMPORT);
MAY_IMPORT.commands = FOLDERS;

const NODE_BUILTINS = ['node:*', 'fs', 'path', 'crypto', 'util', 'zlib', 'buffer', 'timers', 'http', 'os'];
/** Which folders may call each library; all may name its types. */
const MAY_CALL = {
  kafkajs: ['kafka'],
  '@temporalio/client': ['temporal'],
  '@temporalio/worker': ['temporal', 'daemon'],
  '@temporalio/activity': ['activities'],
  '@temporalio/workflow': ['workflows', 'requester'],
  '@clickhouse/client': ['clickhouse'],
  'prom-client': ['telemetry'],
  pino: ['telemetry'],
  zod: ['config', 'formats'],
};

const importDirections = FOLDERS.map((folder) => {
  const allowed = MAY_IMPORT[folder];
  const forbidden = FOLDERS.filter((other) => other !== folder && !allowed.includes(other));
  const patterns = [
    {
      group: [
        ...forbidden.flatMap((other) => [1, 2, 3].map((up) => `${'../'.repeat(up)}${other}/*`)),
        '**/cli.js',
        '**/commandLine.js',
      ],
      message: `src/${folder} may import only: itself${allowed.map((name) => `, ${name}`).join('')} (see ARCHITECTURE.md, "Layout").`,
    },
    ...Object.entries(MAY_CALL)
      .filter(([, folders]) => !folders.includes(folder))
      .map(([library, folders]) => ({
        regex: `^${library}(/|$)`,
        allowTypeImports: true,
        message: `Only src/${folders.join(' and src/')} may call ${library}.`,
      })),
  ];
  if (['workflows', 'requester', 'protocol'].includes(folder)) {
    patterns.push({
      group: NODE_BUILTINS,
      message: "This code runs in Temporal's sandbox: no Node built-ins.",
    });
  }
  return {
    files: [`src/${folder}/**/*.ts`],
    rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns }] },
  };
});

export default defineConfig(
  { ignores: ['dist/', 'node_modules/', 'coverage/'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      // noPropertyAccessFromIndexSignature of the compiler asks for the brackets that this rule would take away.
      '@typescript-eslint/dot-notation': ['error', { allowIndexSignaturePropertyAccess: true }],
      'no-restricted-syntax': [
        'error',
        {
          selector: 'CatchClause > BlockStatement[body.length=0]',
          message: 'An empty catch hides a failure: say why, or handle it.',
        },
      ],
      // The other way to say it, `!`, is forbidden in src/.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      eqeqeq: 'error',
    },
  },
  ...importDirections,
  {
    files: ['src/**/*.ts'],
    ignores: ['src/cli.ts', 'src/daemon/**', 'src/commands/**', 'src/config/load.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'Only the composition root and the commands read the environment.',
        },
        { object: 'process', property: 'exit', message: 'Only the composition root and the commands end the process.' },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' },
  },
);
