import { mergeConfig } from 'vitest/config';
import { packageTestConfig } from '../../tools/vitest.ts';

// The browser test builds the app and starts a Chromium before its first test.
export default mergeConfig(packageTestConfig, { test: { hookTimeout: 240_000, testTimeout: 120_000 } });
