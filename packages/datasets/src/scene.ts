import { composeThings } from './composition';
import { boxOfThing, overlapShare } from './extent';
import { placeClouds, sampleLayout, type Light, type ScenePart, type Sun } from './layout';
import { PictureBookError } from './picture-book-error';
import { createRandom, type StreamAddress } from './random';
import type { Look } from './sprites/look';
import type { PartCategory, ThingCategory } from './vocabulary';

/** Scenes of different splits never share random numbers: the split is part of the generator's counter. */
export const SPLITS = ['train', 'validation', 'test', 'detector'] as const;

export type Split = (typeof SPLITS)[number];

/** Which scene: any unsigned 32-bit seed, a split, and a place in it. */
export type SceneAddress = { readonly seed: number; readonly split: Split; readonly index: number };

/** One thing: a sprite with the middle of its base line at (x, y), in pixels of a 64-pixel picture. */
export type SceneThing = {
  readonly category: ThingCategory;
  readonly x: number;
  readonly y: number;
  readonly scale: number;
  readonly facing: 1 | -1;
  readonly look: Look;
  /** The part that bears it. */
  readonly support: PartCategory;
};

/** Everything needed to draw a scene, as plain JSON. */
export type PictureBookScene = {
  /** Side of the square that all coordinates refer to. */
  readonly size: 64;
  readonly address: SceneAddress;
  readonly light: Light;
  readonly horizon: number;
  readonly sun: Sun | null;
  /** Address of the random numbers for tufts, ripples, flakes and stars. */
  readonly clutterSeed: number;
  /** From far to near. */
  readonly parts: readonly ScenePart[];
  /** From far to near: what flies first, then by base line. */
  readonly things: readonly SceneThing[];
};

/**
 * The scene at an address. The same address gives the same scene, whatever was drawn before.
 *
 * @throws PictureBookError if seed or index is no integer in `[0, 2^32)`, or if the split is unknown.
 */
export function sampleScene(address: SceneAddress): PictureBookScene {
  const random = createRandom(streamAddress(address));
  const layout = sampleLayout(random);
  const things = composeThings(layout, random);
  const clouds = placeClouds(layout, things, random);
  const clutterSeed = random.int(4294967296);
  const [sky, ...others] = layout.parts;
  return {
    size: 64,
    address: { seed: address.seed, split: address.split, index: address.index },
    light: layout.light,
    horizon: layout.horizon,
    sun: layout.sun && sunIsFree(layout.sun, things) ? layout.sun : null,
    clutterSeed,
    parts: [sky, ...clouds, ...others],
    things: [...things].sort((a, b) => depthKey(a) - depthKey(b)),
  };
}

const WORLD_VERSION = 1;

function streamAddress({ seed, split, index }: SceneAddress): StreamAddress {
  const splitNumber = SPLITS.indexOf(split);
  if (splitNumber < 0) {
    throw new PictureBookError(`sampleScene: expected a split of ${SPLITS.join(', ')}, received ${String(split)}.`);
  }
  for (const [name, value] of Object.entries({ seed, index })) {
    if (!Number.isInteger(value) || value < 0 || value >= 4294967296) {
      throw new PictureBookError(
        `sampleScene: expected ${name} to be an integer in [0, 2^32), received ${String(value)}.`,
      );
    }
  }
  return [seed, WORLD_VERSION, splitNumber, index];
}

/** A sun half behind a kite would look like a part of it. */
function sunIsFree({ x, y, radius }: Sun, things: readonly SceneThing[]): boolean {
  const extent = [x - radius, y - radius, x + radius, y + radius] as const;
  return things.every((thing) => overlapShare(extent, boxOfThing(thing)) === 0);
}

function depthKey(thing: SceneThing): number {
  return thing.support === 'sky' ? thing.y - 1000 : thing.y;
}
