import { n } from './shapes';
import type { Random } from './random';
import type { SceneThing } from './scene';
import { boxOfThing, overlapShare, type Extent } from './extent';
import type { PartCategory } from './vocabulary';

export type Light = 'day' | 'sunset' | 'overcast' | 'night';

export type Sun = { readonly x: number; readonly y: number; readonly radius: number };

/** A part of the background: an outline (SVG path), a choice of colours, and paths painted inside it. */
export type ScenePart = {
  readonly category: PartCategory;
  readonly outline: string;
  readonly colour: number;
  readonly details: readonly string[];
};

/** Where base lines of things may lie. */
export type Zone = {
  readonly support: PartCategory;
  readonly x0: number;
  readonly x1: number;
  readonly y0: number;
  readonly y1: number;
};

/** The background of a scene before things and clouds are in it. */
export type Layout = {
  readonly light: Light;
  readonly horizon: number;
  readonly sun: Sun | null;
  /** From far to near; the first is the sky. */
  readonly parts: readonly ScenePart[];
  readonly zones: readonly Zone[];
};

type LandCategory = 'grass' | 'sand' | 'snow';

/** Light, horizon and parts: land, a road through land, sea behind or beside land, or open sea. */
export function sampleLayout(random: Random): Layout {
  const light = random.weighted<Light>(['day', 'sunset', 'overcast', 'night'], [64, 18, 14, 4]);
  const plan = random.weighted(['land', 'road', 'sea-behind', 'sea-beside', 'open-sea'] as const, [38, 14, 21, 18, 9]);
  const land = random.weighted<LandCategory>(['grass', 'sand', 'snow'], [58, 23, 19]);
  const horizon = round(random.range(22, 31));
  const parts: ScenePart[] = [{ category: 'sky', outline: 'M-1 -1H65V65H-1Z', colour: random.int(3), details: [] }];
  const zones: Zone[] = [];

  const relief = random.uniform();
  if (plan !== 'sea-beside' || relief < 0.2) {
    if (relief < 0.2) parts.push(mountain(horizon, random));
    else if (relief < 0.38) parts.push(hill(horizon, random));
  }

  if (plan === 'open-sea') {
    parts.push({ category: 'ocean', outline: `M-1 ${n(horizon)}H65V65H-1Z`, colour: random.int(3), details: [] });
    zones.push({ support: 'ocean', x0: 0, x1: 64, y0: horizon + 9, y1: 60 });
  } else if (plan === 'sea-behind') {
    const shore = round(Math.min(46, horizon + random.range(9, 16)));
    const sea = `M-1 ${n(horizon)}H65V${n(shore + 4)}H-1Z`;
    parts.push({ category: 'ocean', outline: sea, colour: random.int(3), details: [] });
    const top = ripple(shore, 1.2, random);
    parts.push({ category: land, outline: `${top}V65H-1Z`, colour: random.int(3), details: [top] });
    zones.push({ support: land, x0: 0, x1: 64, y0: shore + 5, y1: 62 });
    zones.push({ support: 'ocean', x0: 0, x1: 64, y0: horizon + 4.5, y1: shore - 2.5 });
  } else {
    const top = ripple(horizon, 1, random);
    parts.push({ category: land, outline: `${top}V65H-1Z`, colour: random.int(3), details: [] });
    if (plan === 'road') {
      const y0 = round(random.range(horizon + 12, 50));
      const y1 = round(y0 + random.range(9, 11));
      const dashes = `M4 ${n((y0 + y1) / 2)}h8m8 0h8m8 0h8m8 0h8`;
      parts.push({
        category: 'road',
        outline: `M-1 ${n(y0)}H65V${n(y1)}H-1Z`,
        colour: random.int(2),
        details: [dashes],
      });
      zones.push({ support: 'road', x0: 0, x1: 64, y0: y0 + 4, y1: y1 - 2 });
      zones.push({ support: land, x0: 0, x1: 64, y0: horizon + 4, y1: y0 - 2 });
      if (y1 < 56) zones.push({ support: land, x0: 0, x1: 64, y0: y1 + 4, y1: 62 });
    } else if (plan === 'sea-beside') {
      const far = random.range(22, 30);
      const near = far + random.range(-3, 4);
      const mirrored = random.chance(0.5);
      const flip = (x: number): number => round(mirrored ? 64 - x : x);
      const edge = flip(-1);
      const bend = flip((far + near) / 2 + random.range(-1.5, 1.5));
      // Higher than the land's ripples, so that no sliver of land shows beyond the sea.
      const seaTop = horizon - 0.7;
      const shoreLine = `M${n(flip(far))} ${n(seaTop)}Q${n(bend)} ${n((horizon + 65) / 2)} ${n(flip(near))} 65`;
      const outline = `${shoreLine}H${n(edge)}V${n(seaTop)}Z`;
      parts.push({ category: 'ocean', outline, colour: random.int(3), details: [shoreLine] });
      const sea = { x0: 0, x1: Math.min(far, near) - 1 };
      const ground = { x0: Math.max(far, near) + 2, x1: 64 };
      const turn = (zone: { x0: number; x1: number }) => (mirrored ? { x0: 64 - zone.x1, x1: 64 - zone.x0 } : zone);
      zones.push({ support: land, ...turn(ground), y0: horizon + 5, y1: 62 });
      zones.push({ support: 'ocean', ...turn(sea), y0: horizon + 7, y1: 60 });
    } else {
      zones.push({ support: land, x0: 0, x1: 64, y0: horizon + 5, y1: 62 });
    }
  }
  return { light, horizon, sun: sampleSun(light, horizon, random), parts, zones };
}

/** None to two clouds where the sky is free. */
export function placeClouds(layout: Layout, things: readonly SceneThing[], random: Random): ScenePart[] {
  const wanted = random.weighted([0, 1, 2], [46, 36, 18]);
  const taken: Extent[] = things.map(boxOfThing);
  const clouds: ScenePart[] = [];
  for (let attempt = 0; attempt < 12 && clouds.length < wanted; attempt++) {
    const width = random.range(19, 27);
    const height = width * random.range(0.42, 0.5);
    const x = random.range(width / 2 + 1, 63 - width / 2);
    const y = random.range(height + 1, Math.max(height + 2, layout.horizon - 7));
    const form = random.int(2);
    const colour = random.int(2);
    const extent: Extent = [x - width / 2, y - height, x + width / 2, y];
    if (y > layout.horizon - 2 || taken.some((other) => overlapShare(extent, other) > 0.1)) continue;
    taken.push(extent);
    clouds.push({ category: 'cloud', outline: cloudOutline(x, y, width, height, form), colour, details: [] });
  }
  return clouds;
}

function sampleSun(light: Light, horizon: number, random: Random): Sun | null {
  const x = round(random.range(6, 58));
  const y = round(random.range(5, light === 'sunset' ? horizon - 4 : Math.min(12, horizon - 8)));
  const radius = round(random.range(3, 4.2));
  const shows = random.uniform() < { day: 0.4, sunset: 0.6, overcast: 0, night: 1 }[light];
  return shows ? { x, y, radius } : null;
}

function mountain(horizon: number, random: Random): ScenePart {
  const height = Math.min(random.range(15, 21), horizon - 5);
  const half = random.range(17, 24);
  const x = random.range(12, 52);
  const lean = random.range(-3, 3);
  const top: Point = [x + lean, horizon - height];
  const left: Point = [x - half, horizon + 2];
  const right: Point = [x + half, horizon + 2];
  const side = random.chance(0.5) ? -1 : 1;
  const shoulder = (from: Point, to: Point, share: number): Point => [
    from[0] + (to[0] - from[0]) * share,
    from[1] + (to[1] - from[1]) * share,
  ];
  const a = shoulder(top, left, 0.36);
  const b = shoulder(top, right, 0.36);
  const cap = `M${p(top)}L${p(b)}L${p([b[0] - 2.4, b[1] - 1.8])}L${p([top[0], b[1] + 1.4])}L${p([a[0] + 2.6, a[1] - 1.6])}L${p(a)}Z`;
  const shaded = `M${p(top)}L${p(right)}L${p([top[0] + 2, horizon + 2])}L${p([top[0] - 1.5, horizon - height * 0.4])}Z`;
  // A lower second peak beside the first.
  const peak: Point = [x + side * half * 0.62, horizon - height * 0.62];
  const outline = `M${p(left)}L${p(top)}L${p(right)}ZM${p([peak[0] - half * 0.6, horizon + 2])}L${p(peak)}L${p([peak[0] + half * 0.6, horizon + 2])}Z`;
  return { category: 'mountain', outline, colour: random.int(3), details: [shaded, cap] };
}

function hill(horizon: number, random: Random): ScenePart {
  const height = Math.min(random.range(11, 15.5), horizon - 6);
  const half = random.range(20, 28);
  const x = random.range(14, 50);
  const y = horizon + 2;
  const control = y - (height + 2) * 1.333;
  const spread = half * random.range(0.5, 0.66);
  const outline = `M${p([x - half, y])}C${p([x - spread, control])} ${p([x + spread, control])} ${p([x + half, y])}Z`;
  const light = `M${p([x - half * 0.55, y - height * 0.66])}Q${p([x - half * 0.2, y - height * 1.02])} ${p([x + half * 0.2, y - height * 0.98])}`;
  return { category: 'hill', outline, colour: random.int(3), details: [light] };
}

function cloudOutline(x: number, y: number, width: number, height: number, form: number): string {
  const lobes: [number, number, number][] = [
    [-0.3, 0.26, 0.26],
    [form === 0 ? -0.08 : 0.1, 0.56, 0.44],
    [form === 0 ? 0.2 : -0.16, 0.4, 0.38],
    [0.32, 0.24, 0.24],
  ];
  const base = `M${p([x - width / 2 + height * 0.22, y])}H${n(x + width / 2 - height * 0.22)}`;
  const slab =
    `${base}a${n(height * 0.22)} ${n(height * 0.22)} 0 0 0 0 ${n(-height * 0.44)}` +
    `H${n(x - width / 2 + height * 0.22)}a${n(height * 0.22)} ${n(height * 0.22)} 0 0 0 0 ${n(height * 0.44)}Z`;
  return slab + lobes.map(([dx, up, r]) => disc(x + dx * width, y - up * height, r * height)).join('');
}

// Runs the same way around as the slab, so that overlapping outlines add up under the non-zero rule.
function disc(cx: number, cy: number, r: number): string {
  return `M${p([cx - r, cy])}a${n(r)} ${n(r)} 0 0 0 ${n(2 * r)} 0a${n(r)} ${n(r)} 0 0 0 ${n(-2 * r)} 0Z`;
}

function ripple(y: number, height: number, random: Random): string {
  const [a, b, c, d, e] = [0, 0, 0, 0, 0].map(() => y + random.range(-height, height) / 2);
  return `M-1 ${n(a)}Q${n(random.range(10, 22))} ${n(b)} 32 ${n(c)}Q${n(random.range(42, 54))} ${n(d)} 65 ${n(e)}`;
}

type Point = readonly [x: number, y: number];

function p([x, y]: Point): string {
  return `${n(x)} ${n(y)}`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
