export { sampleGraph } from './graph';
export { PictureBookError } from './picture-book-error';
export { relationHolds, type ThingGeometry } from './relations';
export { renderScene, type PictureBookObject, type PictureBookSample, type Rasterize } from './render';
export { sampleScene, SPLITS, type PictureBookScene, type SceneAddress, type SceneThing, type Split } from './scene';
export type { Light, ScenePart, Sun } from './layout';
export type { Look } from './sprites/look';
export { sceneToIdSvg, sceneToSvg } from './svg';
export {
  isPart,
  PART_WORDS,
  pictureBookVocabulary,
  PREDICATE_WORDS,
  THING_WORDS,
  type Category,
  type PartCategory,
  type Predicate,
  type ThingCategory,
} from './vocabulary';
export { cocoStuffVocabulary, visualGenomeVocabulary } from './published-vocabularies';
