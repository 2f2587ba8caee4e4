import { graphDifference, type GraphDifference, type SceneGraph } from '@sgdiff/sg-schema';
import type { PictureMaps } from './attention-maps';

/** How a region is made of attention maps. */
export type RegionSettings = {
  /** From which share of the way from a map's least to its greatest value on a place belongs to the object. */
  readonly threshold: number;
  /** By how many cells the region grows to all sides. */
  readonly grow: number;
  /** Over how many cells it fades out beyond that. */
  readonly fade: number;
};

/** Chosen on validation scenes of picture-book: see the README. */
export const REGION: RegionSettings = { threshold: 0.6, grow: 1, fade: 1 };

/** A graph and where its picture looked at what. The maps have one value per cell of the latents. */
export type Looked = { readonly graph: SceneGraph; readonly maps: PictureMaps };

/** Objects that an edit touches, as positions in the two graphs. */
export type Touched = { readonly before: readonly number[]; readonly after: readonly number[] };

/**
 * The objects that a change of the graph touches: those that came, went or changed, and of a relation that came or went between others,
 * both of its objects, since either may move. `'all'` for another negative graph, which works on the whole picture.
 */
export function touchedObjects(before: SceneGraph, after: SceneGraph): Touched | 'all' {
  const { objects, relationships, negative }: GraphDifference = graphDifference(before, after);
  if (negative) return 'all';
  const was = new Set([...objects.removed, ...objects.changed.map(([place]) => place)]);
  const is = new Set([...objects.added, ...objects.changed.map(([, place]) => place)]);
  for (const [graph, own, touched] of [
    [before, relationships.removed, was],
    [after, relationships.added, is],
  ] as const) {
    const byThemselves = new Set(touched); // a relation of an object that came or went does not touch its other object
    for (const relation of own) {
      const [subject, , object] = graph.relationships[relation];
      if (!byThemselves.has(subject) && !byThemselves.has(object)) touched.add(subject).add(object);
    }
  }
  return { before: [...was], after: [...is] };
}

/**
 * Where a picture is to be drawn anew: wherever the old picture or one drawn freely from the new graph looked for an object that the edit
 * touches.
 *
 * @param side Cells of a side of the maps.
 * @returns `side * side` values from 0 to 1, rows from the top. All 1 where a touched object has no map, or where no map says anything: that
 *   of an object of weight 0 is the same everywhere.
 */
export function editRegion(
  before: Looked,
  after: Looked,
  side: number,
  { threshold, grow, fade }: RegionSettings = REGION,
): Float32Array {
  const touched = touchedObjects(before.graph, after.graph);
  const everything = new Float32Array(side * side).fill(1);
  if (touched === 'all') return everything;
  const maps = [
    ...touched.before.map((object) => before.maps.objects[object]),
    ...touched.after.map((object) => after.maps.objects[object]),
  ];
  let region = new Float32Array(side * side);
  for (const map of maps) {
    if (map === null) return everything;
    const [least, most] = [Math.min(...map), Math.max(...map)];
    if (least === most) continue;
    const limit = least + threshold * (most - least);
    map.forEach((value, cell) => {
      if (value >= limit) region[cell] = 1;
    });
  }
  if (maps.length > 0 && !region.includes(1)) return everything;
  for (let i = 0; i < grow; i++) region = spread(region, side, 1);
  for (let i = 1; i <= fade; i++) region = spread(region, side, 1 - i / (fade + 1));
  return region;
}

/** Every cell of 0 next to one that is not, corners too, gets the value. */
function spread(region: Float32Array, side: number, value: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(region, (own, cell) => {
    if (own > 0) return own;
    const [row, column] = [Math.floor(cell / side), cell % side];
    for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, side - 1); y++) {
      for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, side - 1); x++) {
        if (region[y * side + x] > 0) return value;
      }
    }
    return 0;
  });
}
