import js from '@eslint/js';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import importX from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/** Which way imports run: public API → backend contract ← backends, and only open.ts knows the backends. */
const zones = [
  {
    target: './lib/simulation',
    from: './lib',
    except: ['./simulation', './backend.ts', './operations.ts', './errors.ts', './constants.ts', './scheduler.ts'],
  },
  {
    target: './lib/kernel',
    from: './lib',
    except: ['./kernel', './backend.ts', './operations.ts', './errors.ts', './constants.ts'],
  },
  { target: './lib/!(open).ts', from: ['./lib/simulation', './lib/kernel'] },
  { target: './lib', from: ['./scripts', './test', './examples', './bench'] },
  { target: './scripts', from: ['./test', './examples'] },
];

export default tseslint.config(
  { ignores: ['dist/', 'build/', 'node_modules/'] },
  js.configs.recommended,
  tseslint.configs.recommendedTypeChecked,
  {
    files: ['**/*.ts'],
    plugins: { 'import-x': importX },
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
      'import-x/no-cycle': 'error',
      'import-x/no-default-export': 'error',
      'import-x/no-restricted-paths': ['error', { zones }],
      'no-restricted-syntax': [
        'error',
        { selector: 'CatchClause > BlockStatement[body.length=0]', message: 'Swallowed error.' },
      ],
    },
    settings: { 'import-x/resolver-next': [createTypeScriptImportResolver({ project: ['tsconfig.json'] })] },
  },
  {
    files: ['lib/simulation/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: ['node:*', 'fs', 'os', 'path'], message: 'The simulation runs in a browser too.' }] },
      ],
    },
  },
  { files: ['vitest.config.mjs'], rules: { 'import-x/no-default-export': 'off' } },
  {
    files: ['**/*.js', '**/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { process: 'readonly', console: 'readonly' } },
  },
);
