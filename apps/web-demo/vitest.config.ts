import { mergeConfig } from 'vitest/config';
import { packageTestConfig } from '../../tools/vitest.ts';

// The browser tests build a page and start a Chromium before their first test; two at once would wait for each other.
export default mergeConfig(packageTestConfig, {
  test: { hookTimeout: 240_000, testTimeout: 120_000, fileParallelism: false },
});
