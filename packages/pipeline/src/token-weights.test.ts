import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import type { SceneGraph } from '@sgdiff/sg-schema';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadPipeline } from './load';
import { memorySource } from './model-source';
import type { Pipeline } from './pipeline';
import { parseRecord } from './record';
import { tinyManifest, tinyModel } from './testing/tiny-model';

const meadow: SceneGraph = {
  objects: ['sky', 'grass', 'sheep'],
  relationships: [
    [0, 'above', 1],
    [2, 'standing on', 1],
  ],
};
const weigh = (weights: number[], relationshipWeights?: number[]): SceneGraph => ({
  ...meadow,
  weights,
  ...(relationshipWeights && { relationshipWeights }),
});
/** As the published model: the padding is attended to. */
const open = {
  ...tinyManifest,
  parts: { ...tinyManifest.parts, unet: { ...tinyManifest.parts.unet, maskPadding: false } },
};

describe.each([
  ['cpu', tinyManifest],
  ['wasm', tinyManifest],
  ['cpu', open],
] as const)('weights on %s', (backend, manifest) => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    await setupBackend(backend);
    pipeline = await loadPipeline(memorySource('tiny', await tinyModel(manifest)));
  });
  afterAll(() => pipeline.dispose());

  const share = async (graph: SceneGraph): Promise<number[]> => {
    const { maps } = await pipeline.generate(graph, { steps: 1, maps: true });
    return [...maps!.relationships, ...maps!.objects].map((map) => map!.reduce((sum, value) => sum + value / 64, 0));
  };

  it('of 1 are as none', async () => {
    const { pixels } = await pipeline.generate(meadow);
    expect((await pipeline.generate(weigh([1, 1, 1], [1, 1]))).pixels).toEqual(pixels);
  });

  it('draw attention to an object in all its triples, and to a relation in its own', async () => {
    const [above, on, sky, grass, sheep] = await share(meadow);
    const heavy = await share(weigh([1, 1, 4]));
    expect(heavy[1] / on).toBeGreaterThan(1.5);
    expect(heavy[4] / sheep).toBeGreaterThan(1.5);
    for (const [i, usual] of [above, undefined, sky, grass].entries()) if (usual) expect(heavy[i]).toBeLessThan(usual);
    const related = await share(weigh([1, 1, 1], [1, 4]));
    expect(related[1] / on).toBeGreaterThan(1.5);
    expect(related[4]).toBeLessThan(sheep);
    expect(await share(weigh([1, 1, 0], [0, 1]))).toEqual([0, 0, expect.any(Number), expect.any(Number), 0]);
  });

  it('change the picture, in the same way in any batch and from the record', async () => {
    const graph = weigh([0.1, 0, 300], [20, 40]);
    const picture = await pipeline.generate(graph, { seed: 6 });
    expect(picture.pixels).not.toEqual((await pipeline.generate(meadow, { seed: 6 })).pixels);
    expect(picture.record.graph).toEqual(graph);
    const record = parseRecord(JSON.parse(JSON.stringify(picture.record)));
    expect(await pipeline.replay(record)).toEqual(picture);
    const [, second, plain] = await pipeline.generateBatch([{ objects: ['tree'], relationships: [] }, graph, meadow], {
      seeds: [1, 6, 7],
    });
    expect(second).toEqual(picture);
    expect(plain).toEqual(await pipeline.generate(meadow, { seed: 7 }));
  });

  it('count in a negative graph too, and leave nothing behind', async () => {
    const negative = { objects: ['zebra', 'tree'], relationships: [] };
    const { pixels } = await pipeline.generate({ ...meadow, negative });
    const weighed = await pipeline.generate({ ...meadow, negative: { ...negative, weights: [1, 0] } });
    expect(weighed.pixels).not.toEqual(pixels);
    await expectNoLeak(async () => void (await pipeline.generate(weigh([1, 2, 1]))));
  });

  it('are refused where a float32 could not hold their product', async () => {
    const refused = 'weights: expected numbers from 0 to 1000000, received 1e+300.';
    await expect(pipeline.generate(weigh([1, 1, 1e300]))).rejects.toThrow(refused);
    await expect(pipeline.generate(weigh([1, 1, 1], [1e300, 1]))).rejects.toThrow(refused);
    const negative = { objects: ['zebra'], relationships: [], weights: [1e300] };
    await expect(pipeline.generate({ ...meadow, negative })).rejects.toThrow(refused);
    const most = await pipeline.generate(weigh([1e6, 1e6, 1e6], [1e6, 1e6])); // drawn: finite
    expect(most.pixels.length).toBeGreaterThan(0);
  });
});
