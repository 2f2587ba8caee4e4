export { libraryConfig as default } from '../../tools/tsup.ts';
