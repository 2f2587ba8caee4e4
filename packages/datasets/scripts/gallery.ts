// Every thing in its looks on grass, sand and snow: node scripts/run.mjs gallery [path] [scale]
import { writeFileSync } from 'node:fs';
import { encode } from 'fast-png';
import { sampleScene, sceneToSvg, THING_WORDS, type PictureBookScene } from '../src/index';
import { createRasterize } from './rasterize';

const [path = '/tmp/gallery.png', scaleText = '2'] = process.argv.slice(2);
const rasterize = await createRasterize();
const size = 64;
const scale = Number(scaleText);
const grounds = ['grass', 'sand', 'snow'] as const;
const base = new Map<string, PictureBookScene>();
for (let index = 0; base.size < 3; index++) {
  const scene = sampleScene({ seed: 7, split: 'train', index });
  const only = scene.parts.filter((part) => part.category !== 'cloud');
  if (
    only.length === 2 &&
    (grounds as readonly string[]).includes(only[1].category) &&
    scene.light === 'day' &&
    !base.has(only[1].category)
  )
    base.set(only[1].category, { ...scene, parts: only, sun: null, horizon: scene.horizon });
}
const C = 9;
const R = Math.ceil(THING_WORDS.length / C) * 3;
const cell = size * scale + 4;
const [width, height] = [C * cell + 4, R * cell + 4];
const sheet = new Uint8Array(width * height * 3).fill(255);
THING_WORDS.forEach((category, k) =>
  grounds.forEach((ground, g) => {
    const scene = base.get(ground);
    if (!scene) return;
    const two = [0, 1].map((i) => ({
      category,
      x: 17 + 30 * i,
      y: 38 + 22 * i,
      scale: 0.9 + 0.2 * i,
      facing: i === 0 ? (1 as const) : (-1 as const),
      look: { colour: 2 * g + i, form: 2 * g + i },
      support: ground,
    }));
    const pixels = rasterize(sceneToSvg({ ...scene, things: two }, size), size);
    const left = 4 + (k % C) * cell;
    const top = 4 + (Math.floor(k / C) * 3 + g) * cell;
    for (let y = 0; y < size * scale; y++)
      for (let x = 0; x < size * scale; x++)
        for (let c = 0; c < 3; c++)
          sheet[((top + y) * width + left + x) * 3 + c] =
            pixels[(Math.floor(y / scale) * size + Math.floor(x / scale)) * 4 + c];
  }),
);
writeFileSync(path, encode({ width, height, channels: 3, data: sheet }));
