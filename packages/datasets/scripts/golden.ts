// Writes fixtures/world-1.golden.json: node scripts/run.mjs golden. Only when the world's version is raised.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { renderScene, sampleScene, sceneToIdSvg, sceneToSvg, SPLITS } from '../src/index';
import { createRasterize } from './rasterize';

const rasterize = await createRasterize();
const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest('hex');
const scenes = SPLITS.map((split, i) => {
  const address = { seed: 20 + i, split, index: 7 * i };
  const scene = sampleScene(address);
  const sample = renderScene(scene, 64, rasterize);
  return {
    address,
    svg: sha256(sceneToSvg(scene, 64)),
    idSvg: sha256(sceneToIdSvg(scene, 64)),
    image64: sha256(sample.image),
    image128: sha256(renderScene(scene, 128, rasterize).image),
    graph: sample.graph,
  };
});
const recipe = { command: 'node scripts/run.mjs golden', rasteriser: '@resvg/resvg-wasm 2.6.2', hash: 'sha256' };
writeFileSync('fixtures/world-1.golden.json', `${JSON.stringify({ recipe, scenes }, null, 2)}\n`);
