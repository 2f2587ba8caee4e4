// Frequencies, visibility and speed over many scenes: node scripts/run.mjs statistics [count] [sizePx]
import { isPart, renderScene, sampleScene, sceneToIdSvg, sceneToSvg } from '../src/index';
import { createRasterize } from './rasterize';

const [countText = '1000', sizeText = '64'] = process.argv.slice(2);
const [count, size] = [Number(countText), Number(sizeText)];
const rasterize = await createRasterize();
const add = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
const [categories, inGraphs, predicates, relations, hiddenBy] = [0, 1, 2, 3, 4].map(() => new Map<string, number>());
const thingCounts = [0, 0, 0, 0, 0];
let [kin, ms, named, triples, tooMany, svgBytes, unconnected, most] = [0, 0, 0, 0, 0, 0, 0, 0];
const visible: number[] = [];
const smallest = new Map<string, number>();
for (let index = 0; index < count; index++) {
  const scene = sampleScene({ seed: 3, split: 'train', index });
  svgBytes += sceneToSvg(scene, size).length;
  const start = performance.now();
  const sample = renderScene(sampleScene({ seed: 3, split: 'train', index }), size, rasterize);
  ms += performance.now() - start;
  thingCounts[scene.things.length] += 1;
  for (const { category } of [...scene.parts, ...scene.things]) add(categories, category);
  const names = scene.things.map(({ category }) => category);
  if (new Set(names).size < names.length) kin += 1;
  const { objects, relationships } = sample.graph;
  named += objects.length;
  triples += relationships.length;
  most = Math.max(most, objects.length + relationships.length);
  if (objects.length + relationships.length > 20) tooMany += 1;
  const reached = new Set([0]);
  for (const _ of objects)
    for (const [a, , b] of relationships) if (reached.has(a) || reached.has(b)) reached.add(a).add(b);
  if (reached.size < objects.length) unconnected += 1;
  for (const word of objects) add(inGraphs, word);
  for (const [, predicate] of relationships) add(predicates, predicate);
  for (const [, predicate] of sample.relations) add(relations, predicate);
  if (index >= 400) continue;
  scene.things.forEach((thing, i) => {
    const solo = rasterize(sceneToIdSvg({ ...scene, things: [thing] }, size), size);
    let area = 0;
    for (let k = 0; k < size * size; k++) if (solo[4 * k + 2] === scene.parts.length + 1) area += 1;
    const seen = sample.objects.find(({ depth }) => depth === scene.parts.length + i);
    const share = (seen?.area ?? 0) / area;
    visible.push(share);
    if (share < 0.55) add(hiddenBy, `${thing.category}@${index}:${share.toFixed(2)}`);
    if (seen && !isPart(seen.category)) {
      const side = Math.min(seen.box[2] - seen.box[0], seen.box[3] - seen.box[1]) * 64;
      smallest.set(seen.category, Math.min(smallest.get(seen.category) ?? 99, side));
    }
  });
}
const table = (counts: Map<string, number>) =>
  [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([key, value]) => `${key} ${((100 * value) / count).toFixed(1)}`)
    .join(', ');
console.log(`per 100 scenes: ${table(categories)}`);
console.log(`named in 100 graphs: ${table(inGraphs)}`);
console.log(`predicates in 100 graphs: ${table(predicates)}`);
console.log(`true relations in 100 scenes: ${table(relations)}`);
console.log(
  `things per scene 0-4: ${thingCounts}; two of a kind: ${kin / count}; objects per graph ${named / count}, triples ${triples / count}, most objects + triples ${most}, over 20: ${tooMany}, unconnected: ${unconnected}`,
);
visible.sort((a, b) => a - b);
console.log(
  `visible share: min ${visible[0]}, 1 % ${visible[Math.floor(visible.length / 100)]}, 5 % ${visible[Math.floor(visible.length / 20)]}, median ${visible[Math.floor(visible.length / 2)]}; below 0.55: ${[...hiddenBy.keys()]}`,
);
console.log(`smallest visible side: ${[...smallest].map(([k, v]) => `${k} ${v}`).join(', ')}`);
console.log(`${(ms / count).toFixed(2)} ms per sample at ${size} px, ${Math.round(svgBytes / count)} bytes of SVG`);
