export { packageTestConfig as default } from '../../tools/vitest.ts';
