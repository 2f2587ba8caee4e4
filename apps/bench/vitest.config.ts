import { mergeConfig } from 'vitest/config';

import { packageTestConfig } from '../../tools/vitest.ts';

// The tests start the built program.
export default mergeConfig(packageTestConfig, { test: { globalSetup: ['src/testing/build-program.ts'] } });
