// Draws samples on one sheet and prints their graphs: node scripts/run.mjs contact-sheet [path] [first] [split] [columns] [scale]
import { writeFileSync } from 'node:fs';
import { encode } from 'fast-png';
import { renderScene, sampleScene, type Split } from '../src/index';
import { createRasterize } from './rasterize';

const [path = '/tmp/contact.png', first = '0', split = 'train', columns = '8', scaleText = '2'] = process.argv.slice(2);
const rasterize = await createRasterize();
const size = 64;
const scale = Number(scaleText);
const C = Number(columns);
const R = C;
const cell = size * scale + 4;
const width = C * cell + 4;
const height = R * cell + 4;
const sheet = new Uint8Array(width * height * 3).fill(255);
for (let k = 0; k < C * R; k++) {
  const sample = renderScene(
    sampleScene({ seed: 1, split: split as Split, index: Number(first) + k }),
    size,
    rasterize,
  );
  const left = 4 + (k % C) * cell;
  const top = 4 + Math.floor(k / C) * cell;
  for (let y = 0; y < size * scale; y++)
    for (let x = 0; x < size * scale; x++)
      for (let c = 0; c < 3; c++)
        sheet[((top + y) * width + left + x) * 3 + c] =
          sample.image[(Math.floor(y / scale) * size + Math.floor(x / scale)) * 3 + c];
  const { objects, relationships } = sample.graph;
  console.log(
    `${Math.floor(k / C)},${k % C}: [${objects}] ${relationships.map(([a, p, b]) => `${objects[a]}${a} ${p} ${objects[b]}${b}`).join('; ')}`,
  );
}
writeFileSync(path, encode({ width, height, channels: 3, data: sheet }));
