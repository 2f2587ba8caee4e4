import type { Box } from '@sgdiff/sg-schema';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { relationHolds, type ThingGeometry } from './relations';
import { PART_WORDS, PREDICATE_WORDS, THING_WORDS } from './vocabulary';

const DIRECTIONS = ['left of', 'right of', 'above', 'below'];
const GEOMETRIC = [...DIRECTIONS, 'inside', 'surrounding'];

const boxes = fc
  .tuple(
    fc.integer({ min: 0, max: 60 }),
    fc.integer({ min: 0, max: 60 }),
    fc.integer({ min: 1, max: 40 }),
    fc.integer({ min: 1, max: 40 }),
  )
  .map(([x, y, w, h]): Box => [x / 64, y / 64, Math.min(64, x + w) / 64, Math.min(64, y + h) / 64]);
const geometries = fc.record({ category: fc.constantFrom(...PART_WORDS, ...THING_WORDS), box: boxes });

function at(category: string, ...box: [number, number, number, number]): ThingGeometry {
  return { category, box };
}

describe('relationHolds', () => {
  it("follows sg2im's rule: exactly one geometric relation for any two boxes", () => {
    fc.assert(
      fc.property(geometries, geometries, (a, b) => {
        expect(GEOMETRIC.filter((predicate) => relationHolds(predicate, a, b))).toEqual([sg2imRelation(a.box, b.box)]);
      }),
    );
  });

  it('has inverses: in front of and behind, inside and surrounding; by is its own', () => {
    fc.assert(
      fc.property(geometries, geometries, fc.constantFrom(-0.02, 0, 0.05), (a, b, tolerance) => {
        const holds = (predicate: string, s: ThingGeometry, o: ThingGeometry) =>
          relationHolds(predicate, s, o, { tolerance });
        expect(holds('in front of', a, b)).toBe(holds('behind', b, a));
        expect(holds('inside', a, b)).toBe(holds('surrounding', b, a));
        expect(holds('by', a, b)).toBe(holds('by', b, a));
      }),
    );
  });

  it('is monotone: what holds at a tolerance holds at every larger one', () => {
    const tolerances = [-0.05, -0.01, 0, 0.03, 0.1];
    fc.assert(
      fc.property(geometries, geometries, fc.constantFrom(...PREDICATE_WORDS), (a, b, predicate) => {
        const holds = tolerances.map((tolerance) => relationHolds(predicate, a, b, { tolerance }));
        expect(holds).toEqual([...holds].sort((x, y) => Number(x) - Number(y)));
      }),
      { numRuns: 2000 },
    );
  });

  it('never has a thing behind and in front of the same other', () => {
    fc.assert(
      fc.property(geometries, geometries, (a, b) => {
        expect(relationHolds('behind', a, b) && relationHolds('behind', b, a)).toBe(false);
      }),
    );
  });

  const grass = at('grass', 0, 0.45, 1, 1);
  const sky = at('sky', 0, 0, 1, 0.45);
  const sea = at('ocean', 0, 0.45, 1, 0.6);
  const meadow = at('grass', 0, 0.6, 1, 1);
  const road = at('road', 0, 0.7, 1, 0.85);
  const sheep = at('sheep', 0.3, 0.6, 0.6, 0.85);
  const sheepBeside = at('sheep', 0.65, 0.62, 0.95, 0.86);
  const tree = at('tree', 0.4, 0.25, 0.7, 0.7);
  const boat = at('boat', 0.3, 0.2, 0.6, 0.55);
  const kite = at('kite', 0.1, 0.1, 0.3, 0.4);
  const dog = at('dog', 0.35, 0.6, 0.6, 0.9);
  const umbrella = at('umbrella', 0.3, 0.4, 0.7, 0.85);

  it.each([
    ['sky above grass', true, 'above', sky, grass],
    ['sheep standing on grass', true, 'standing on', sheep, grass],
    ['sheep on grass', true, 'on', sheep, grass],
    ['tree standing on grass (not living)', false, 'standing on', tree, grass],
    ['sheep by sheep', true, 'by', sheepBeside, sheep],
    ['tree behind sheep', true, 'behind', tree, sheep],
    ['sheep in front of tree', true, 'in front of', sheep, tree],
    ['ocean by tree', true, 'by', sea, tree],
    ['ocean by a dog far from the shore', false, 'by', sea, dog],
    ['ocean behind grass', true, 'behind', sea, meadow],
    ['ocean by grass', true, 'by', sea, meadow],
    ['boat in ocean', true, 'in', boat, sea],
    ['sheep in ocean (only boats are)', false, 'in', sheep, at('ocean', 0, 0.45, 1, 1)],
    ['boat on grass', true, 'on', sheep.box === boat.box ? boat : at('boat', 0.3, 0.4, 0.6, 0.8), meadow],
    ['boat in the sea on grass', false, 'on', boat, meadow],
    ['kite in sky', true, 'in', kite, sky],
    ['kite on grass', false, 'on', at('kite', 0.1, 0.4, 0.3, 0.7), grass],
    ['dog under umbrella', true, 'under', dog, umbrella],
    ['umbrella under dog', false, 'under', umbrella, dog],
    ['grass under sky', true, 'under', grass, sky],
    ['car on the road behind it', false, 'behind', at('car', 0.3, 0.6, 0.6, 0.78), road],
    ['house behind road', true, 'behind', at('house', 0.3, 0.3, 0.6, 0.68), road],
  ] as [string, boolean, string, ThingGeometry, ThingGeometry][])('%s: %s', (_, expected, predicate, a, b) => {
    expect(relationHolds(predicate, a, b)).toBe(expected);
  });

  it('forgives a detector as much as it is told to', () => {
    const high = at('sheep', 0.3, 0.2, 0.6, 0.42);
    expect(relationHolds('standing on', high, grass)).toBe(false);
    expect(relationHolds('standing on', high, grass, { tolerance: 0.05 })).toBe(true);
  });

  it('refuses a predicate it does not know', () => {
    expect(() => relationHolds('riding', sheep, grass)).toThrow(
      'relationHolds: expected a predicate of left of, right of, above, below, inside, surrounding, on, in, standing on, by, ' +
        'behind, in front of, under; received "riding".',
    );
  });
});

/** The rule as the reference states it, with the angle (reference section 1.5), to check ours without angles. */
function sg2imRelation(s: Box, o: Box): string {
  if (s[0] < o[0] && s[2] > o[2] && s[1] < o[1] && s[3] > o[3]) return 'surrounding';
  if (s[0] > o[0] && s[2] < o[2] && s[1] > o[1] && s[3] < o[3]) return 'inside';
  // Doubled centres: exact for multiples of 1/64, so borders between sectors are exact.
  const theta = Math.atan2(s[1] + s[3] - o[1] - o[3], s[0] + s[2] - o[0] - o[2]);
  if (theta >= (3 * Math.PI) / 4 || theta <= (-3 * Math.PI) / 4) return 'left of';
  if (theta < -Math.PI / 4) return 'above';
  if (theta < Math.PI / 4) return 'right of';
  return 'below';
}
