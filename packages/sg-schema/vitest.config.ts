import { mergeConfig } from 'vitest/config';

import { packageTestConfig } from '../../tools/vitest.ts';

// No tensors here and no global state: one process loads fast-check once for all files.
export default mergeConfig(packageTestConfig, { test: { isolate: false, maxWorkers: 1 } });
