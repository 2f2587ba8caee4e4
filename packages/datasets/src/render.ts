// Shapes: H, W height and width of the picture in pixels.
import type { Box, SceneGraph, Triple } from '@sgdiff/sg-schema';
import { sampleGraph } from './graph';
import { PictureBookError } from './picture-book-error';
import { relationHolds } from './relations';
import type { PictureBookScene } from './scene';
import { sceneToIdSvg, sceneToSvg } from './svg';
import { PREDICATE_WORDS, type Category } from './vocabulary';

/** Turns an SVG picture into RGBA bytes `[H, W, 4]`, `widthPx` wide. */
export type Rasterize = (svg: string, widthPx: number) => Uint8Array;

export type PictureBookObject = {
  readonly category: Category;
  /** Visible extent in `[0, 1]`. */
  readonly box: Box;
  /** 1 where the object is seen, else 0: `[H * W]`. */
  readonly mask: Uint8Array;
  /** Place in the order of painting: 0 is the farthest. */
  readonly depth: number;
  /** Visible pixels. */
  readonly area: number;
};

export type PictureBookSample = {
  /** RGB bytes `[H, W, 3]`. */
  readonly image: Uint8Array;
  /** What can be seen and named, from far to near. */
  readonly objects: readonly PictureBookObject[];
  /** All relations that hold between objects (positions in `objects`). */
  readonly relations: readonly Triple[];
  /** The graph drawn from them under the scene's own address. */
  readonly graph: SceneGraph;
};

/**
 * Picture, objects, relations and graph of a scene.
 *
 * @throws PictureBookError if `rasterize` does not return `sizePx * sizePx` RGBA pixels.
 */
export function renderScene(scene: PictureBookScene, sizePx: number, rasterize: Rasterize): PictureBookSample {
  const image = withoutAlpha(checked(rasterize(sceneToSvg(scene, sizePx), sizePx), sizePx));
  const objects = seenObjects(scene, sizePx, checked(rasterize(sceneToIdSvg(scene, sizePx), sizePx), sizePx));
  const relations = trueRelations(objects, scene);
  const { seed, split, index } = scene.address;
  return { image, objects, relations, graph: sampleGraph({ objects, relations }, seed, split, index) };
}

/** Below this share of the picture (or side) an object is too little seen to be named. */
const SEEN_AREA = 34 / 4096;
const SEEN_SIDE = 7 / 64;

function seenObjects(scene: PictureBookScene, sizePx: number, ids: Uint8Array): PictureBookObject[] {
  const categories: Category[] = [...scene.parts, ...scene.things].map(({ category }) => category);
  const found = categories.map(() => ({ x0: sizePx, y0: sizePx, x1: -1, y1: -1, area: 0 }));
  for (let i = 0; i < sizePx * sizePx; i++) {
    const object = found[ids[4 * i + 2] - 1];
    if (!object) continue;
    const x = i % sizePx;
    const y = (i - x) / sizePx;
    if (x < object.x0) object.x0 = x;
    if (x > object.x1) object.x1 = x;
    if (y < object.y0) object.y0 = y;
    if (y > object.y1) object.y1 = y;
    object.area += 1;
  }
  return found.flatMap(({ x0, y0, x1, y1, area }, depth) => {
    const side = Math.min(x1 + 1 - x0, y1 + 1 - y0);
    if (area < SEEN_AREA * sizePx * sizePx || side < SEEN_SIDE * sizePx) return [];
    const mask = new Uint8Array(sizePx * sizePx);
    for (let i = 0; i < mask.length; i++) if (ids[4 * i + 2] === depth + 1) mask[i] = 1;
    const box: Box = [x0 / sizePx, y0 / sizePx, (x1 + 1) / sizePx, (y1 + 1) / sizePx];
    return [{ category: categories[depth], box, mask, depth, area }];
  });
}

/** Boxes decide, except that a thing is on, or standing on, only what bears it (a car on a road is not on the grass). */
function trueRelations(objects: readonly PictureBookObject[], scene: PictureBookScene): Triple[] {
  const relations: Triple[] = [];
  objects.forEach((a, i) =>
    objects.forEach((b, j) => {
      if (i === j) return;
      const thing = a.depth - scene.parts.length;
      const borne = thing < 0 || scene.things[thing].support === b.category;
      for (const predicate of PREDICATE_WORDS) {
        if (!borne && (predicate === 'on' || predicate === 'standing on')) continue;
        if (relationHolds(predicate, a, b)) relations.push([i, predicate, j]);
      }
    }),
  );
  return relations;
}

function checked(rgba: Uint8Array, sizePx: number): Uint8Array {
  if (rgba.length !== sizePx * sizePx * 4) {
    throw new PictureBookError(
      `renderScene: expected rasterize to return ${sizePx} x ${sizePx} RGBA pixels (${sizePx * sizePx * 4} bytes), ` +
        `received ${rgba.length} bytes. Render the SVG at the width that is asked for.`,
    );
  }
  return rgba;
}

function withoutAlpha(rgba: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let i = 0, j = 0; i < rgba.length; i += 4, j += 3) {
    rgb[j] = rgba[i];
    rgb[j + 1] = rgba[i + 1];
    rgb[j + 2] = rgba[i + 2];
  }
  return rgb;
}
