import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/**
 * Which way imports run: public API → backend contract ← backends, and only open.ts knows the backends. That there is no
 * cycle is seen by scripts/lint.ts, in what was compiled.
 */
const CONTRACT = 'backend|operations|errors|constants|scheduler|array-length';
const restricted = (...patterns) => ({ 'no-restricted-imports': ['error', { patterns }] });
const outward = (up) => ({
  regex: `^${up}(?!(${CONTRACT})\\.js$)`,
  message: 'A backend knows its own files and the contract, nothing else of lib/.',
});
const BACKENDS = { regex: '^\\./(simulation|kernel)/', message: 'Only open.ts knows the backends.' };
const TOOLS = { regex: '/(scripts|test|examples|bench)/', message: 'The library knows nothing of its tools.' };
const NODE = { regex: '^(node:|fs$|os$|path$)', message: 'The simulation runs in a browser too.' };

export default tseslint.config(
  { ignores: ['dist/', 'build/', 'node_modules/'] },
  js.configs.recommended,
  tseslint.configs.recommendedTypeChecked,
  {
    files: ['**/*.ts'],
    languageOptions: {
      parserOptions: { project: ['./tsconfig.json', './tsconfig.test.json'], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'CatchClause > BlockStatement[body.length=0]', message: 'Swallowed error.' },
      ],
    },
  },
  { files: ['lib/*.ts'], ignores: ['lib/open.ts'], rules: restricted(BACKENDS, TOOLS, NODE) },
  { files: ['lib/open.ts'], rules: restricted(TOOLS, NODE) },
  { files: ['lib/kernel/*.ts'], rules: restricted(outward('\\.\\./'), TOOLS) },
  { files: ['lib/simulation/*.ts'], rules: restricted(outward('\\.\\./'), TOOLS, NODE) },
  { files: ['lib/simulation/*/*.ts'], rules: restricted(outward('\\.\\./\\.\\./'), TOOLS, NODE) },
  // What a browser loads finds Node's own globals by globalThis, if at all: package.json's imports keep the rest from it.
  {
    files: ['lib/**/*.ts'],
    ignores: ['lib/kernel/**', 'lib/explore/threads.ts', 'lib/explore/worker.ts'],
    rules: {
      'no-restricted-globals': ['error', 'process', 'Buffer', 'global', 'require', 'setImmediate', 'clearImmediate'],
    },
  },
  {
    files: ['lib/explore/**/*.ts'],
    ignores: ['lib/explore/threads.ts', 'lib/explore/worker.ts'],
    rules: restricted(TOOLS, { ...NODE, message: 'The explorer runs in a browser too.' }),
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { process: 'readonly', console: 'readonly' } },
  },
);
