import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/**
 * Which folders of src/ a folder may import from, besides itself. `cli.ts`, `daemon.ts` and `commands/` put everything
 * together and may import all of them. See "Layout" in ARCHITECTURE.md.
 */
const MAY_IMPORT = {
  records: [],
  config: ['records'],
  telemetry: [],
  workflows: ['records'],
  kafka: ['records', 'config', 'telemetry'],
  consumer: ['records', 'config', 'telemetry', 'kafka'],
  installation: ['records', 'config', 'telemetry'],
  // A closed run's history is read with the state that wrote it.
  activities: ['records', 'config', 'telemetry', 'kafka', 'workflows'],
};
const FOLDERS = [...Object.keys(MAY_IMPORT), 'commands'];
const NODE_BUILTINS = ['node:*', 'fs', 'path', 'crypto', 'util', 'zlib', 'buffer', 'timers', 'http', 'os'];

const importDirections = Object.entries(MAY_IMPORT).map(([folder, allowed]) => {
  const forbidden = FOLDERS.filter((other) => other !== folder && !allowed.includes(other));
  const patterns = [
    {
      group: [...forbidden.flatMap((other) => [`../${other}/*`, `../../${other}/*`]), '../cli.js', '../daemon.js'],
      message: `src/${folder} may import only: itself${allowed.map((name) => `, ${name}`).join('')} (see ARCHITECTURE.md, "Layout").`,
    },
  ];
  if (folder === 'workflows') {
    patterns.push({
      group: [...NODE_BUILTINS, '@temporalio/client', '@temporalio/worker', '@temporalio/activity', 'kafkajs', 'pino'],
      message: "Workflow code runs in Temporal's sandbox: no Node built-ins and no clients.",
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
    ignores: ['src/cli.ts', 'src/daemon.ts', 'src/commands/**', 'src/config/load.ts'],
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
