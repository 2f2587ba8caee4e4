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
export { parseSceneGraph, parseSceneGraphs, safeParseSceneGraph, safeParseSceneGraphs } from './parse';
export type { ParseListResult, ParseOptions, ParseResult } from './parse';
export { sceneGraphToJson } from './scene-graph-json';
export type { SceneGraphJson } from './scene-graph-json';
export { parseSceneText, safeParseSceneText, sceneText } from './text';
export type { ParseTextOptions, SceneTextOptions } from './text';
export { addObject, relate, removeObject, renameObject, renameRelation, unrelate, withIds } from './edit';
export type { AddObjectOptions, ObjectRef, RelateOptions } from './edit';
export { graphDifference } from './difference';
export type { GraphDifference } from './difference';
export { toDot } from './dot';
export type { DotOptions } from './dot';
export { packGraphs, PackError } from './pack';
export type { PackedGraphs, PackOptions } from './pack';
export { nearestWords } from './nearest';
