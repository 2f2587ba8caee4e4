import type { Box } from '@sgdiff/sg-schema';
import { AIRBORNE, GROUND, isPart, LIVING, OVERHANGING, PREDICATE_WORDS, type Predicate } from './vocabulary';
import { PictureBookError } from './picture-book-error';

/** All that a relation is judged by: the word and the visible extent in [0, 1]. */
export type ThingGeometry = { readonly category: string; readonly box: Box };

/**
 * Whether `a predicate b` holds. One definition for true scenes and for detections: it sees words and boxes only.
 *
 * `tolerance` is a length in picture sides that every comparison is relaxed by: 0 is the definition itself, a positive
 * value forgives a detector's imprecision, a negative value asks that the relation holds clearly.
 *
 * - left of, right of, above, below, inside, surrounding: sg2im's rule on containment and the angle between centres.
 * - on, standing on, in: the base line of `a` lies in ground `b` (standing on: living `a`; in: boats in the ocean, what
 *   flies in the sky).
 * - by: beside each other at a similar base line; beside water or a road.
 * - behind, in front of: the base line is clearly higher (lower) in the picture and the two overlap or nearly do from side to side.
 * - under: beneath the crown of a tree or umbrella, beneath what flies, or (grounds) beneath the sky.
 *
 * @throws PictureBookError if the predicate is none of the picture-book's.
 */
export function relationHolds(
  predicate: string,
  a: ThingGeometry,
  b: ThingGeometry,
  { tolerance = 0 }: { readonly tolerance?: number } = {},
): boolean {
  switch (predicate as Predicate) {
    case 'left of':
    case 'right of':
    case 'above':
    case 'below':
      return isDirection(predicate as Direction, a.box, b.box, tolerance);
    case 'inside':
      return isInside(a.box, b.box, tolerance);
    case 'surrounding':
      return isInside(b.box, a.box, tolerance);
    case 'on':
      return isOn(a, b, tolerance);
    case 'standing on':
      return LIVING.has(a.category) && b.category !== 'ocean' && isOn(a, b, tolerance);
    case 'in':
      return isIn(a, b, tolerance);
    case 'by':
      return isBy(a, b, tolerance);
    case 'behind':
      return isBehind(a, b, tolerance);
    case 'in front of':
      return isBehind(b, a, tolerance);
    case 'under':
      return isUnder(a, b, tolerance);
    default:
      throw new PictureBookError(
        `relationHolds: expected a predicate of ${PREDICATE_WORDS.join(', ')}; received "${predicate}".`,
      );
  }
}

type Direction = 'left of' | 'right of' | 'above' | 'below';

/** Strict on all four sides, as in sg2im. */
function isInside(s: Box, o: Box, tolerance: number): boolean {
  return s[0] > o[0] - tolerance && s[1] > o[1] - tolerance && s[2] < o[2] + tolerance && s[3] < o[3] + tolerance;
}

function isDirection(direction: Direction, s: Box, o: Box, tolerance: number): boolean {
  if (isInside(s, o, -tolerance) || isInside(o, s, -tolerance)) return false;
  const dx = centreX(s) - centreX(o);
  const dy = centreY(s) - centreY(o);
  const exact = directionOf(dx, dy) === direction;
  if (tolerance === 0) return exact;
  const along = { 'left of': -dx, 'right of': dx, above: -dy, below: dy }[direction];
  const across = Math.abs(direction === 'left of' || direction === 'right of' ? dy : dx);
  const near = along > -tolerance && along - across >= -2 * tolerance;
  return tolerance > 0 ? exact || near : exact && near;
}

/** The four sectors of the angle between centres; a border belongs to the sector that sg2im tests first. */
function directionOf(dx: number, dy: number): Direction {
  if (dx < 0 && Math.abs(dy) <= -dx) return 'left of';
  if (dy < 0 && Math.abs(dx) < -dy) return 'above';
  if (dx >= 0 && -dx <= dy && dy < dx) return 'right of';
  return dx === 0 && dy === 0 ? 'right of' : 'below';
}

function isOn(a: ThingGeometry, b: ThingGeometry, tolerance: number): boolean {
  if (!GROUND.has(b.category) || isPart(a.category) || a.category === 'plane' || a.category === 'kite') return false;
  return baseLiesIn(a.box, b.box, tolerance);
}

function isIn(a: ThingGeometry, b: ThingGeometry, tolerance: number): boolean {
  if (b.category === 'ocean') return a.category === 'boat' && baseLiesIn(a.box, b.box, tolerance);
  if (b.category !== 'sky' || !AIRBORNE.has(a.category)) return false;
  return (
    a.box[3] <= b.box[3] + tolerance &&
    a.box[0] >= b.box[0] - 0.02 - tolerance &&
    a.box[2] <= b.box[2] + 0.02 + tolerance
  );
}

const BY_GAP = 0.14;
const BY_BASE = 0.09;
const BY_REACH = 0.2;

function isBy(a: ThingGeometry, b: ThingGeometry, tolerance: number): boolean {
  if (isEdging(a.category) !== isEdging(b.category)) {
    const [part, thing] = isEdging(a.category) ? [a, b] : [b, a];
    if (thing.category !== 'grass' && thing.category !== 'sand' && thing.category !== 'snow') {
      if (!isGrounded(thing) || baseLiesIn(thing.box, part.box, 0)) return false;
      return (
        Math.max(baseGapX(thing.box, part.box), gap(thing.box[3], thing.box[3], part.box[1], part.box[3])) <=
        BY_REACH + tolerance
      );
    }
    return part.category === 'ocean' && distance(a.box, b.box) <= 0.05 + tolerance;
  }
  if (!isGrounded(a) || !isGrounded(b)) return false;
  const apart = Math.abs(centreX(a.box) - centreX(b.box));
  return (
    baseGapX(a.box, b.box) <= BY_GAP + tolerance &&
    Math.abs(a.box[3] - b.box[3]) <= BY_BASE + tolerance &&
    apart >= 0.4 * Math.min(a.box[2] - a.box[0], b.box[2] - b.box[0]) - tolerance
  );
}

const BEHIND_BASE = 0.04;
const BEHIND_GAP_X = 0.06;
const BEHIND_GAP_Y = 0.12;

function isBehind(a: ThingGeometry, b: ThingGeometry, tolerance: number): boolean {
  const backdrop = a.category === 'mountain' || a.category === 'hill' || a.category === 'ocean';
  const front =
    isGrounded(b) || b.category === 'road' || (backdrop && GROUND.has(b.category) && b.category !== a.category);
  if (!(backdrop || isGrounded(a) || a.category === 'road') || !front) return false;
  // A strip of road has a near and a far edge: behind it is beyond the far one.
  const nearLine = b.category === 'road' ? b.box[1] : b.box[3] - BEHIND_BASE;
  return (
    a.box[3] <= nearLine + tolerance &&
    baseGapX(a.box, b.box) <= BEHIND_GAP_X + tolerance &&
    (backdrop || b.box[1] - a.box[3] <= BEHIND_GAP_Y + tolerance)
  );
}

const UNDER_CROWN = 0.25;
const UNDER_BASE = 0.1;

function isUnder(a: ThingGeometry, b: ThingGeometry, tolerance: number): boolean {
  if (b.category === 'sky') return GROUND.has(a.category) && a.box[1] >= b.box[3] - 0.06 - tolerance;
  if (!isGrounded(a)) return false;
  const beneath = centreX(a.box) >= b.box[0] - tolerance && centreX(a.box) <= b.box[2] + tolerance;
  if (AIRBORNE.has(b.category)) return beneath && a.box[1] >= b.box[3] - tolerance;
  if (!OVERHANGING.has(b.category) || OVERHANGING.has(a.category)) return false;
  return (
    beneath &&
    a.box[1] >= b.box[1] + UNDER_CROWN * (b.box[3] - b.box[1]) - tolerance &&
    Math.abs(a.box[3] - b.box[3]) <= UNDER_BASE + tolerance
  );
}

/** Things that stand somewhere; what flies (birds too, whose pose a box does not show) has no base line on the ground. */
function isGrounded({ category }: ThingGeometry): boolean {
  return !isPart(category) && !AIRBORNE.has(category);
}

/** Parts that things are said to be by. */
function isEdging(category: string): boolean {
  return category === 'ocean' || category === 'road';
}

/** The middle of the base line of `thing` lies in `ground`. */
function baseLiesIn(thing: Box, ground: Box, tolerance: number): boolean {
  return (
    thing[3] >= ground[1] - tolerance &&
    thing[3] <= ground[3] + tolerance &&
    centreX(thing) >= ground[0] - tolerance &&
    centreX(thing) <= ground[2] + tolerance
  );
}

function baseGapX(a: Box, b: Box): number {
  return gap(a[0], a[2], b[0], b[2]);
}

/** Space between two intervals; negative where they overlap. */
function gap(a0: number, a1: number, b0: number, b1: number): number {
  return Math.max(b0 - a1, a0 - b1);
}

function distance(a: Box, b: Box): number {
  return Math.max(0, gap(a[0], a[2], b[0], b[2]), gap(a[1], a[3], b[1], b[3]));
}

function centreX(box: Box): number {
  return (box[0] + box[2]) / 2;
}

function centreY(box: Box): number {
  return (box[1] + box[3]) / 2;
}
