import { defineConfig } from 'vitest/config';

/**
 * How every package is tested: in forked processes (tfjs keeps one global engine per process),
 * against the sources of the other packages, so that no build is needed.
 */
export const packageTestConfig = defineConfig({
  resolve: { conditions: ['@sgdiff/source'] },
  ssr: { resolve: { conditions: ['@sgdiff/source'] } },
  test: {
    include: ['src/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    passWithNoTests: false,
    reporters: ['default', ['json', { outputFile: '.reports/test.json' }]],
  },
});
