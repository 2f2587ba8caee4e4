import { paintLight, paintPart, paintShadow, partGradients } from './backdrop';
import type { PictureBookScene, SceneThing } from './scene';
import { n, paint, silhouette } from './shapes';
import { SPRITES } from './sprites';

/** The scene as an SVG picture, `sizePx` pixels square. */
export function sceneToSvg(scene: PictureBookScene, sizePx: number): string {
  const parts = scene.parts.map((part) => paintPart(scene, part)).join('');
  const things = scene.things.map((thing) => shadowOf(thing) + placed(thing, paint(spriteOf(thing)))).join('');
  return `${head(scene, sizePx)}<defs>${partGradients(scene)}</defs>${parts}${things}${paintLight(scene)}</svg>`;
}

/**
 * The scene in flat colours with hard edges, for masks: every pixel is `#0000NN`, where NN counts `[...parts, ...things]`
 * from 1, and shows the nearest object there. Clutter and shadows belong to the part they lie on.
 */
export function sceneToIdSvg(scene: PictureBookScene, sizePx: number): string {
  const parts = scene.parts.map((part, i) => `<path d="${part.outline}" fill="${idColour(i)}"/>`).join('');
  const things = scene.things
    .map((thing, i) => placed(thing, silhouette(spriteOf(thing), idColour(scene.parts.length + i))))
    .join('');
  return `${head(scene, sizePx)}<g shape-rendering="crispEdges">${parts}${things}</g></svg>`;
}

function idColour(position: number): string {
  return `#0000${(position + 1).toString(16).padStart(2, '0')}`;
}

function head({ size }: PictureBookScene, sizePx: number): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${sizePx}" height="${sizePx}" viewBox="0 0 ${size} ${size}">`;
}

function spriteOf({ category, look }: SceneThing) {
  return SPRITES[category].draw(look);
}

function placed({ x, y, scale, facing }: SceneThing, content: string): string {
  return `<g transform="translate(${n(x)} ${n(y)}) scale(${n(scale * facing)} ${n(scale)})">${content}</g>`;
}

function shadowOf({ category, x, y, scale, facing, support }: SceneThing): string {
  if (support === 'sky') return '';
  const narrow = category === 'tree' || category === 'umbrella' || category === 'flag' || category === 'giraffe';
  const pole = category === 'flag' ? -5 * scale * facing : 0;
  return paintShadow(x + pole, y, SPRITES[category].width * scale * (narrow ? 0.55 : 1));
}
