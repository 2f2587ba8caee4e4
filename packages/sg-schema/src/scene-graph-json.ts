import type { SceneGraph } from './types';

/** A scene graph in sg2im's form, as `JSON.stringify` takes it. Keys past the first two are this project's extras. */
export type SceneGraphJson = {
  objects: string[];
  relationships: [number, string, number][];
  ids?: string[];
  boxes?: ([number, number, number, number] | null)[];
  weights?: number[];
  relationshipWeights?: number[];
  negative?: SceneGraphJson;
};

/** A graph in sg2im's form; shares nothing with it. `parseSceneGraph` reads it back. */
export function sceneGraphToJson(graph: SceneGraph): SceneGraphJson {
  const { objects, relationships, ids, boxes, weights, relationshipWeights, negative } = graph;
  return {
    objects: [...objects],
    relationships: relationships.map(([subject, predicate, object]) => [subject, predicate, object]),
    ...(ids && { ids: [...ids] }),
    ...(boxes && { boxes: boxes.map((box) => (box === null ? null : [box[0], box[1], box[2], box[3]])) }),
    ...(weights && { weights: [...weights] }),
    ...(relationshipWeights && { relationshipWeights: [...relationshipWeights] }),
    ...(negative && { negative: sceneGraphToJson(negative) }),
  };
}
