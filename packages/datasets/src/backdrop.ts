import type { ScenePart } from './layout';
import { createRandom, type Random } from './random';
import type { PictureBookScene } from './scene';
import { circle, ellipse, line, n, paint, path, rect, type Shape } from './shapes';
import type { PartCategory } from './vocabulary';

/** SVG gradient definitions for the parts of a scene. */
export function partGradients(scene: PictureBookScene): string {
  const sky = SKIES[scene.light];
  const [top, bottom] = sky[scene.parts[0].colour % sky.length];
  const gradients = [gradient('sky', 0, scene.horizon, top, bottom)];
  for (const { category, colour } of scene.parts) {
    const colours = GROUNDS[category];
    if (colours) gradients.push(gradient(category, scene.horizon, 64, ...colours[colour % colours.length]));
  }
  return gradients.join('');
}

/** SVG of one part of the background with what belongs to it: stars, foam, tufts, ripples. */
export function paintPart(scene: PictureBookScene, part: ScenePart): string {
  const random = createRandom([scene.clutterSeed, 0, PART_STREAMS[part.category], 0]);
  const body = (fill: string) => paint([path(part.outline, fill)]);
  switch (part.category) {
    case 'sky':
      return body('url(#sky)') + paint([...stars(scene, random), ...sunShapes(scene)]);
    case 'cloud':
      return body(CLOUDS[scene.light][part.colour % 2]);
    case 'mountain': {
      const [face, shade] = MOUNTAINS[part.colour % MOUNTAINS.length];
      return body(face) + paint([path(part.details[0], shade), path(part.details[1], '#fdfdff')]);
    }
    case 'hill': {
      const [face, light] = HILLS[part.colour % HILLS.length];
      return body(face) + paint([line(part.details[0], light, 1.6)]);
    }
    case 'ocean': {
      const foam = part.details.map((d) => line(d, '#ffffff', 1.3));
      return body('url(#ocean)') + paint([...waves(scene, part, random), ...foam]);
    }
    case 'road': {
      const [asphalt, kerb] = [
        ['#6d6f78', '#a9abb2'],
        ['#7b6f6a', '#b5aaa4'],
      ][part.colour % 2];
      return `<path d="${part.outline}" fill="${asphalt}" stroke="${kerb}" stroke-width="0.9"/>${paint([line(part.details[0], '#fff3c0', 1.1)])}`;
    }
    case 'grass':
      return body('url(#grass)') + shoreFoam(part) + paint(tufts(scene, part, random));
    case 'sand':
      return body('url(#sand)') + shoreFoam(part) + paint(grains(scene, part, random));
    case 'snow':
      return body('url(#snow)') + shoreFoam(part) + paint(drifts(scene, part, random));
  }
}

/** SVG drawn over everything: falling snow and the colour of the light. */
export function paintLight(scene: PictureBookScene): string {
  const tint = { day: '', overcast: '#8a98b0', sunset: '#ff7a2a', night: '#0c1650' }[scene.light];
  const opacity = { day: 0, overcast: 0.12, sunset: 0.11, night: 0.3 }[scene.light];
  const veil = tint ? `<rect width="64" height="64" fill="${tint}" opacity="${opacity}"/>` : '';
  const random = createRandom([scene.clutterSeed, 1, 0, 0]);
  const snows = scene.parts.some((part) => part.category === 'snow') && random.chance(0.4);
  const flakes = snows
    ? Array.from({ length: 14 }, () =>
        circle(random.range(0, 64), random.range(0, 64), random.range(0.4, 0.8), '#ffffff'),
      )
    : [];
  return veil + paint(flakes);
}

/** SVG of the soft shadow where a thing touches the ground. */
export function paintShadow(x: number, y: number, width: number): string {
  return `<ellipse cx="${n(x)}" cy="${n(y - 0.3)}" rx="${n(width * 0.5)}" ry="1.5" fill="#101a30" opacity="0.22"/>`;
}

type Gradient = readonly [top: string, bottom: string];

const SKIES: Readonly<Record<PictureBookScene['light'], readonly Gradient[]>> = {
  day: [
    ['#57b0f4', '#c8e9ff'],
    ['#74c4f8', '#e2f5ff'],
    ['#4aa4ee', '#b6dcfb'],
  ],
  sunset: [
    ['#7f74c8', '#ffb07a'],
    ['#f08a5c', '#ffdf9e'],
    ['#b06cb0', '#ffc48a'],
  ],
  overcast: [
    ['#a3b2c2', '#d6dee6'],
    ['#b2bcc8', '#e2e6ea'],
    ['#98aabf', '#ccd8e4'],
  ],
  night: [
    ['#141d4c', '#3b4f96'],
    ['#1a1f58', '#55509a'],
    ['#10244c', '#2f5c94'],
  ],
};

const GROUNDS: Partial<Record<PartCategory, readonly Gradient[]>> = {
  grass: [
    ['#97d657', '#5fb037'],
    ['#86cf5a', '#4fa53c'],
    ['#add85c', '#7fb838'],
  ],
  sand: [
    ['#f8e3a6', '#e8c478'],
    ['#f9e8bc', '#ebcd90'],
    ['#f5d898', '#deb469'],
  ],
  snow: [
    ['#f6faff', '#d3e1f1'],
    ['#eff5fc', '#ccdaec'],
    ['#fafcff', '#dbe6f2'],
  ],
  ocean: [
    ['#3c94dc', '#1b57a6'],
    ['#2f9cc8', '#136a98'],
    ['#4580d6', '#1e459c'],
  ],
};

const CLOUDS: Readonly<Record<PictureBookScene['light'], Gradient>> = {
  day: ['#ffffff', '#f4f9ff'],
  sunset: ['#fff0e4', '#ffe2d6'],
  overcast: ['#f8fafc', '#eef1f5'],
  night: ['#c4cce8', '#b4bee0'],
};
const MOUNTAINS: readonly Gradient[] = [
  ['#8b83ac', '#6c6590'],
  ['#8490a8', '#66738e'],
  ['#9a8698', '#7a677c'],
];
const HILLS: readonly Gradient[] = [
  ['#3f8a66', '#5aa67e'],
  ['#7b8f3e', '#98ab55'],
  ['#4c8a4a', '#68a564'],
];
const PART_STREAMS: Readonly<Record<PartCategory, number>> = {
  sky: 0,
  grass: 1,
  sand: 2,
  snow: 3,
  ocean: 4,
  road: 5,
  mountain: 6,
  hill: 7,
  cloud: 8,
};

function gradient(id: string, y0: number, y1: number, top: string, bottom: string): string {
  return (
    `<linearGradient id="${id}" gradientUnits="userSpaceOnUse" x1="0" y1="${n(y0)}" x2="0" y2="${n(y1)}">` +
    `<stop stop-color="${top}"/><stop offset="1" stop-color="${bottom}"/></linearGradient>`
  );
}

function stars({ light, horizon }: PictureBookScene, random: Random): Shape[] {
  if (light !== 'night') return [];
  return Array.from({ length: 12 }, () =>
    circle(random.range(1, 63), random.range(1, horizon - 2), random.range(0.3, 0.6), '#fff8d8'),
  );
}

function sunShapes({ sun, light }: PictureBookScene): Shape[] {
  if (!sun) return [];
  const [core, glow] = {
    day: ['#ffe04a', '#fff2a866'],
    sunset: ['#fff0a0', '#ffd07066'],
    overcast: ['#fff', '#fff0'],
    night: ['#f4f2d8', '#c8d0ff33'],
  }[light];
  return [circle(sun.x, sun.y, sun.radius * 1.6, glow), circle(sun.x, sun.y, sun.radius, core)];
}

function shoreFoam(part: ScenePart): string {
  return paint(part.details.map((d) => line(d, '#ffffff', 1.2)));
}

/** The top of the region in which clutter of a ground may lie. */
function clutterTop(scene: PictureBookScene, part: ScenePart): number {
  const first = /^M-1 (-?[\d.]+)/.exec(part.outline);
  return (first ? Number(first[1]) : scene.horizon) + 3;
}

/** Clutter stays out of a sea beside the land: parts are painted in order, so the sea covers what falls on it. */
function tufts(scene: PictureBookScene, part: ScenePart, random: Random): Shape[] {
  const top = clutterTop(scene, part);
  const blades: string[] = [];
  for (let i = 0; i < 9; i++) {
    const size = random.range(0.8, 1.5);
    blades.push(
      `M${n(random.range(1, 63))} ${n(random.range(top, 63))}l${n(-size)} ${n(-1.6 * size)}m${n(size)} ${n(1.6 * size)}l${n(size * 0.3)} ${n(-2 * size)}m${n(-size * 0.3)} ${n(2 * size)}l${n(size)} ${n(-1.4 * size)}`,
    );
  }
  const dots: Shape[] = [];
  const colour = random.pick(['#ffffff', '#fff27a', '#ffffff']);
  for (let i = random.int(6); i > 0; i--) dots.push(circle(random.range(1, 63), random.range(top, 63), 0.55, colour));
  return [line(blades.join(''), '#3f8a2c', 0.55), ...dots];
}

function grains(scene: PictureBookScene, part: ScenePart, random: Random): Shape[] {
  const top = clutterTop(scene, part);
  const arcs: string[] = [];
  for (let i = 0; i < 6; i++) {
    const length = random.range(4, 8);
    arcs.push(`M${n(random.range(-2, 60))} ${n(random.range(top, 63))}q${n(length / 2)} -1.1 ${n(length)} 0`);
  }
  const pebbles = Array.from({ length: 6 }, () =>
    circle(random.range(1, 63), random.range(top, 63), random.range(0.35, 0.6), '#b98f4e'),
  );
  return [line(arcs.join(''), '#d2a95e', 0.6), ...pebbles];
}

function drifts(scene: PictureBookScene, part: ScenePart, random: Random): Shape[] {
  const top = clutterTop(scene, part);
  return Array.from({ length: 4 }, () => {
    const width = random.range(8, 16);
    return ellipse(random.range(0, 64), random.range(top + 1, 63), width, width * 0.09, '#c2d4ea');
  });
}

function waves(scene: PictureBookScene, part: ScenePart, random: Random): Shape[] {
  const beside = part.details.length > 0;
  const numbers = [...part.outline.matchAll(/-?[\d.]+/g)].map((match) => Number(match[0]));
  const [x0, x1] = beside ? (part.outline.includes('H-1') ? [0, 20] : [44, 62]) : [-2, 60];
  const bottom = beside || part.outline.includes('V65') ? 63 : Math.max(scene.horizon + 4, numbers[3] - 5);
  const crests: string[] = [];
  for (let i = beside ? 6 : 9; i > 0; i--) {
    const y = random.range(scene.horizon + 1.5, bottom);
    const size = 0.7 + (0.9 * (y - scene.horizon)) / (64 - scene.horizon);
    crests.push(`M${n(random.range(x0, x1))} ${n(y)}q${n(size)} ${n(-1.2 * size)} ${n(2 * size)} 0t${n(2 * size)} 0`);
  }
  return [line(crests.join(''), '#a8dcf6', 0.65), rect(0, scene.horizon, beside ? 0.01 : 64, 0.5, '#ffffff55')];
}
