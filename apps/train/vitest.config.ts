import { mergeConfig } from 'vitest/config';

import { packageTestConfig } from '../../tools/vitest.ts';

// One process loads tfjs once for all files. The tests of the command start a bundle that is built beforehand.
export default mergeConfig(packageTestConfig, {
  test: { isolate: false, maxWorkers: 1, globalSetup: ['src/testing/build-command.ts'] },
});
