import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';
import { forbiddenImports, readProjects } from './tools/layers.mjs';

const BACKENDS = ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-*', '@tensorflow/tfjs-node', '@tensorflow/tfjs-node-gpu'];
const TESTS = ['**/*.test.ts', '**/scripts/**', '**/src/testing/**', '**/*.config.ts'];
const NODE_ENTRIES = ['src/node.ts', 'src/node/**/*.ts'];

const projects = readProjects();

/** Import rules of one project: for its sources, its tests, or what it offers under a `node` subpath. */
function importRules(project, { test = false, node = project.runtime === 'node' } = {}) {
  const patterns = [
    ...forbiddenImports(project, projects, { test }).map(({ name, message }) => ({ group: [name, `${name}/*`], message })),
    { group: ['@sgdiff/*/src/*', '@sgdiff/*/dist/*', '../../*/src/*'], message: 'Import another package by its name, not its files.' },
  ];
  if (!test && project.layer < 4 && project.scope !== 'test' && project.scope !== 'backend') {
    patterns.push({ group: BACKENDS, message: 'Only apps, node-backends (and tests) import a backend; libraries use @tensorflow/tfjs-core.' });
  }
  if (!test && !node) {
    patterns.push({ group: ['node:*', 'fs', 'path', '@sgdiff/*/node'], message: 'This project runs outside Node too.' });
  }
  return ['error', { patterns }];
}

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '.nx/**', '.runs/**', '**/.reports/**', '**/out/**', 'packages/nn/kernels/**', 'apps/bench/kernels/**', '**/*.mjs', '**/*.cjs'] },
  ...tseslint.configs.recommended,
  {
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-console': 'error',
      eqeqeq: 'error',
    },
  },
  ...projects.flatMap((project) => [
    { files: [`${project.folder}/**/*.ts`], rules: { 'no-restricted-imports': importRules(project) } },
    {
      files: NODE_ENTRIES.map((pattern) => `${project.folder}/${pattern}`),
      rules: { 'no-restricted-imports': importRules(project, { node: true }) },
    },
    {
      files: TESTS.map((pattern) => `${project.folder}/${pattern}`),
      rules: { 'no-restricted-imports': importRules(project, { test: true }) },
    },
  ]),
  { files: ['**/scripts/**', 'tools/**'], rules: { 'no-console': 'off' } },
  prettier,
);
