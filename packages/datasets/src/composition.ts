import { boxOfThing, overlapShare, type Extent } from './extent';
import type { Layout, Zone } from './layout';
import type { Random } from './random';
import type { SceneThing } from './scene';
import { SPRITES } from './sprites';
import { AIRBORNE, OVERHANGING, THING_WORDS, type ThingCategory } from './vocabulary';

/** Where a thing goes relative to the one placed before it. */
type Arrangement = 'free' | 'beside' | 'behind' | 'under';

/**
 * One to four things placed in a layout: no thing hides more than about a third of another, none leaves the frame, and
 * base lines differ clearly where things overlap, so that depth order can be read off the boxes.
 */
export function composeThings(layout: Layout, random: Random): SceneThing[] {
  const wanted = random.weighted([1, 2, 3, 4], [15, 34, 33, 18]);
  const things: SceneThing[] = [];
  for (let attempt = 0; attempt < wanted * 4 && things.length < wanted; attempt++) {
    const previous = things.length > 0 ? things[random.int(things.length)] : undefined;
    const [category, arrangement] = chooseNext(previous, layout, random);
    const placed = place(category, arrangement, previous, things, layout, random);
    if (placed) things.push(placed);
  }
  return things;
}

// A little more of what picture-book pages are full of.
const WEIGHTS: Partial<Record<ThingCategory, number>> = {
  tree: 1.5,
  sheep: 2.2,
  zebra: 1.7,
  dog: 1.2,
  cat: 1.2,
  ball: 1.2,
  man: 1.2,
  woman: 1.2,
  bird: 1.3,
};
const KIN: readonly (readonly ThingCategory[])[] = [
  ['sheep', 'cow', 'horse'],
  ['zebra', 'giraffe', 'elephant'],
  ['dog', 'cat'],
  ['man', 'woman'],
  ['car', 'bus'],
  ['tree', 'bush', 'flower'],
  ['house', 'fence'],
  ['umbrella', 'ball'],
];
const TALL: readonly ThingCategory[] = [
  'tree',
  'tree',
  'tree',
  'house',
  'bush',
  'fence',
  'umbrella',
  'flag',
  'giraffe',
  'elephant',
  'bus',
  'horse',
];
const SMALL: readonly ThingCategory[] = [
  'dog',
  'cat',
  'ball',
  'sheep',
  'flower',
  'rock',
  'man',
  'woman',
  'bench',
  'bird',
];

function chooseNext(previous: SceneThing | undefined, layout: Layout, random: Random): [ThingCategory, Arrangement] {
  const hasLand = layout.zones.some((zone) => zone.support !== 'ocean');
  const hasSea = layout.zones.some((zone) => zone.support === 'ocean');
  const hasRoad = layout.zones.some((zone) => zone.support === 'road');
  if (previous && !AIRBORNE.has(previous.category)) {
    const roll = random.uniform();
    if (roll < 0.27) return [previous.category, random.chance(0.75) ? 'beside' : 'free'];
    const kin = KIN.find((group) => group.includes(previous.category));
    if (roll < 0.36 && kin) return [random.pick(kin), random.chance(0.6) ? 'beside' : 'free'];
    if (roll < 0.56 && previous.support !== 'ocean') return [random.pick(TALL), 'behind'];
    if (roll < 0.72 && OVERHANGING.has(previous.category)) return [random.pick(SMALL), 'under'];
  }
  const weights = THING_WORDS.map((word) => {
    const weight = WEIGHTS[word] ?? 1;
    if (word === 'boat') return hasSea ? weight * (hasLand ? 3.2 : 5) : 0.25;
    if (!hasLand && !AIRBORNE.has(word)) return 0;
    if (hasRoad && (word === 'car' || word === 'bus')) return weight * 3.5;
    return weight;
  });
  return [random.weighted(THING_WORDS, weights), random.chance(0.3) ? 'beside' : 'free'];
}

function place(
  category: ThingCategory,
  arrangement: Arrangement,
  previous: SceneThing | undefined,
  things: readonly SceneThing[],
  layout: Layout,
  random: Random,
): SceneThing | undefined {
  for (let attempt = 0; attempt < 24; attempt++) {
    const candidate = propose(category, arrangement, previous, layout, random);
    if (!candidate || !things.every((thing) => fits(candidate, thing, arrangement))) continue;
    if (mostHidden([...things, candidate]) <= 0.38) return candidate;
  }
  return undefined;
}

function propose(
  category: ThingCategory,
  arrangement: Arrangement,
  previous: SceneThing | undefined,
  layout: Layout,
  random: Random,
): SceneThing | undefined {
  const zone = chooseZone(category, layout, random);
  const sprite = SPRITES[category];
  const size = random.range(0.9, 1.12);
  const facing: 1 | -1 = random.chance(0.5) ? 1 : -1;
  const look = { colour: random.int(12), form: random.int(12) };
  if (!zone) {
    const scale = round(size);
    const half = (sprite.width * scale) / 2;
    const x = round(random.range(half + 1, 63 - half));
    const y = round(random.range(sprite.height * scale + 1, layout.horizon - 1.5));
    if (y > layout.horizon - 1.5) return undefined;
    return { category, x, y, scale, facing, look: { ...look, form: look.form | 1 }, support: 'sky' };
  }
  let y = random.range(zone.y0, zone.y1);
  let near: readonly [number, number] | undefined;
  if (previous && arrangement !== 'free' && previous.support !== 'sky') {
    const gap = (SPRITES[category].width + SPRITES[previous.category].width) / 2;
    if (arrangement === 'beside') {
      const side = random.chance(0.5) ? 1 : -1;
      y = previous.y + random.range(-2.5, 2.5);
      const centre = previous.x + side * (gap + random.range(-1, 5));
      near = [centre - 1, centre + 1];
    } else if (arrangement === 'behind') {
      y = previous.y - random.range(4, 12);
      near = [previous.x - gap * 0.75, previous.x + gap * 0.75];
    } else {
      y = previous.y + random.range(0.5, 4);
      near = [previous.x - 6, previous.x + 6];
    }
    if (y < zone.y0 || y > zone.y1) return undefined;
  }
  const depth = (y - layout.horizon) / (64 - layout.horizon);
  const scale = round(
    Math.max(0.92, size * (0.88 + 0.26 * depth)) * (zone.x1 - zone.x0 < 34 && zone.support === 'ocean' ? 0.88 : 1),
  );
  const half = (sprite.width * scale) / 2;
  const inside = zone.support === 'ocean' ? half * 0.9 : half * 0.75;
  const low = Math.max(half + 0.5, zone.x0 > 0 ? zone.x0 + inside : 0, near ? near[0] : 0);
  const high = Math.min(63.5 - half, zone.x1 < 64 ? zone.x1 - inside : 64, near ? near[1] : 64);
  if (low > high || y - sprite.height * scale < 0.5) return undefined;
  // A standing bird has an even form, a flying one an odd one.
  const pose = category === 'bird' ? { ...look, form: look.form & ~1 } : look;
  return { category, x: round(random.range(low, high)), y: round(y), scale, facing, look: pose, support: zone.support };
}

/** The zone for a thing of this category, or undefined for the sky. */
function chooseZone(category: ThingCategory, layout: Layout, random: Random): Zone | undefined {
  const sea = layout.zones.filter((zone) => zone.support === 'ocean');
  const road = layout.zones.filter((zone) => zone.support === 'road');
  const land = layout.zones.filter((zone) => zone.support !== 'ocean' && zone.support !== 'road');
  if (category === 'plane' || category === 'kite') return undefined;
  if (category === 'bird' && (land.length === 0 || random.chance(0.62))) return undefined;
  if (category === 'boat') {
    const ashore = land.length > 0 && (sea.length === 0 || random.chance(0.2));
    return random.pick(ashore ? land : sea);
  }
  if ((category === 'car' || category === 'bus') && road.length > 0 && random.chance(0.85)) return road[0];
  if (road.length > 0 && random.chance(0.08)) return road[0];
  return land.length > 0 ? random.pick(land) : undefined;
}

/** Whether both stay visible and their order in depth is plain. */
function fits(a: SceneThing, b: SceneThing, arrangement: Arrangement): boolean {
  const boxA = boxOfThing(a);
  const boxB = boxOfThing(b);
  const [back, front]: [Extent, Extent] = a.y < b.y ? [boxA, boxB] : [boxB, boxA];
  const backThing = a.y < b.y ? a : b;
  if (seemsStacked(back, front)) return false;
  const hidden = overlapShare(back, front);
  if (hidden === 0) return true;
  if ((a.support === 'sky') !== (b.support === 'sky') || a.support === 'sky')
    return hidden < 0.04 && overlapShare(front, back) < 0.04;
  if (hidden > 0.03 && Math.abs(a.y - b.y) < 2.5 && arrangement !== 'under') return false;
  if (a.category === b.category && Math.abs(a.x - b.x) < 9 && Math.abs(a.y - b.y) < 9) return false;
  const airy = backThing.category === 'tree' || backThing.category === 'umbrella' || backThing.category === 'flag';
  if (arrangement === 'under') return hidden <= 0.3;
  if (arrangement === 'behind') return hidden <= (airy ? 0.36 : 0.3);
  return hidden <= 0.14;
}

/** A base line just at the top of a nearer thing looks as if the farther one stood on it. */
function seemsStacked(back: Extent, front: Extent): boolean {
  const shared = Math.min(back[2], front[2]) - Math.max(back[0], front[0]);
  return shared > 0.2 * (back[2] - back[0]) && Math.abs(back[3] - front[1]) < 3;
}

/** The largest share of a thing's box that nearer things cover together. */
function mostHidden(things: readonly SceneThing[]): number {
  const hidden = things.map((back) =>
    things
      .filter((front) => front.y > back.y)
      .reduce((sum, front) => sum + overlapShare(boxOfThing(back), boxOfThing(front)), 0),
  );
  return Math.max(...hidden);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
