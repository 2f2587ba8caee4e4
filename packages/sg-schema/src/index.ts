export type { Box, SceneGraph, Triple, Vocabulary } from './types';
export {
  createVocabulary,
  GAP_WORD,
  IMAGE_OBJECT,
  IN_IMAGE_PREDICATE,
  parseVocabulary,
  vocabularyToJson,
  VocabularyError,
} from './vocabulary';
export type { VocabularyErrorCode, VocabularyJson } from './vocabulary';
export { formatPath, SceneGraphError } from './issues';
export type { Issue, IssueCode, IssuePath } from './issues';
export { packGraphs, PackError } from './pack';
export type { PackedGraphs, PackOptions } from './pack';
