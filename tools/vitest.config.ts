import { mergeConfig } from 'vitest/config';
import { packageTestConfig } from './vitest.ts';

export default mergeConfig(packageTestConfig, { test: { include: ['*.test.mjs'] } });
