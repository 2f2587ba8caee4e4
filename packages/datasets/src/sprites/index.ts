import type { ThingCategory } from '../vocabulary';
import type { Shape } from '../shapes';
import { bird, cat, cow, dog, elephant, giraffe, horse, sheep, zebra } from './animals';
import type { Look } from './look';
import { ball, bench, fence, flag, house, kite, umbrella } from './made';
import { man, woman } from './people';
import { bush, flower, rock, tree } from './plants';
import { boat, bus, car, plane } from './vehicles';

/** How a category is drawn: its shapes, and the width and height of its silhouette at scale 1. */
export type Sprite = {
  readonly draw: (look: Look) => Shape[];
  readonly width: number;
  readonly height: number;
};

export const SPRITES: Readonly<Record<ThingCategory, Sprite>> = {
  tree: { draw: tree, width: 21, height: 29 },
  bush: { draw: bush, width: 20, height: 13 },
  flower: { draw: flower, width: 11, height: 18 },
  rock: { draw: rock, width: 19, height: 12 },
  house: { draw: house, width: 25, height: 25 },
  fence: { draw: fence, width: 26, height: 13 },
  bench: { draw: bench, width: 23, height: 13 },
  boat: { draw: boat, width: 23, height: 24 },
  car: { draw: car, width: 25, height: 14 },
  bus: { draw: bus, width: 31, height: 18 },
  plane: { draw: plane, width: 27, height: 13 },
  kite: { draw: kite, width: 15, height: 23 },
  umbrella: { draw: umbrella, width: 24, height: 25 },
  ball: { draw: ball, width: 13, height: 13 },
  horse: { draw: horse, width: 25, height: 21 },
  cow: { draw: cow, width: 24, height: 18 },
  sheep: { draw: sheep, width: 20, height: 15 },
  zebra: { draw: zebra, width: 24, height: 20 },
  giraffe: { draw: giraffe, width: 20, height: 33 },
  elephant: { draw: elephant, width: 28, height: 20 },
  dog: { draw: dog, width: 22, height: 16 },
  cat: { draw: cat, width: 15, height: 17 },
  bird: { draw: bird, width: 22, height: 14 },
  man: { draw: man, width: 12, height: 25 },
  woman: { draw: woman, width: 13, height: 25 },
  flag: { draw: flag, width: 18, height: 29 },
};

export type { Look };
