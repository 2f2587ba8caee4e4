import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import type { SceneGraph } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAttentionSums, pictureMaps, type PictureMaps } from './attention-maps';
import { loadPipeline } from './load';
import { memorySource } from './model-source';
import type { Pipeline } from './pipeline';
import { tinyManifest, tinyModel } from './testing/tiny-model';

const meadow: SceneGraph = {
  objects: ['sky', 'grass', 'sheep'],
  relationships: [
    [0, 'above', 1],
    [2, 'standing on', 1],
  ],
};
const tree: SceneGraph = { objects: ['tree'], relationships: [] };

const all = ({ objects, relationships }: PictureMaps): Float32Array[] =>
  [...relationships, ...objects].map((map) => map!);

describe.each(['cpu', 'wasm'] as const)('maps on %s', (backend) => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    await setupBackend(backend);
    pipeline = await loadPipeline(memorySource('tiny', await tinyModel()));
  });
  afterAll(() => pipeline.dispose());

  it.each([1, 2])('leave the picture as it is, with guidance %d', async (guidanceScale) => {
    const plain = await pipeline.generate(meadow, { seed: 3, guidanceScale });
    const { maps, ...picture } = await pipeline.generate(meadow, { seed: 3, guidanceScale, maps: true });
    expect(picture).toEqual(plain);
    expect(plain.maps).toBeUndefined();
    expect(all(maps!).map(({ length }) => length)).toEqual(Array(5).fill(64));
    const sum = Array.from({ length: 64 }, (_, i) => all(maps!).reduce((total, map) => total + map[i], 0));
    for (const map of all(maps!)) {
      expect(Math.min(...map)).toBeGreaterThan(0);
      expect(Math.max(...map) / Math.min(...map)).toBeGreaterThan(1.001); // says something
    }
    expect(Math.max(...sum)).toBeLessThan(1); // the rest is the graph's own token
  });

  it('are in a batch what they are one by one', async () => {
    const batch = await pipeline.generateBatch([tree, meadow], { seeds: [4, 5], maps: true });
    for (const [i, graph] of [tree, meadow].entries()) {
      const { maps } = await pipeline.generate(graph, { seed: 4 + i, maps: true });
      all(batch[i].maps!).forEach((map, k) => expect(map).toBeAllClose(all(maps!)[k], { rtol: 1e-4, atol: 1e-6 }));
    }
  });

  it('come with a picture drawn again', async () => {
    const { maps, record } = await pipeline.generate(meadow, { seed: 3, maps: true });
    expect((await pipeline.replay(record, { maps: true })).maps).toEqual(maps);
    expect((await pipeline.replay(record)).maps).toBeUndefined();
  });

  it('of the last step are those of the picture, and of the steps before others', async () => {
    const seen: PictureMaps[] = [];
    const { maps } = await pipeline.generate(meadow, {
      maps: true,
      onStep: async (step) => void seen.push((await step.maps())[0]),
    });
    expect(seen).toHaveLength(3);
    expect(seen[2]).toEqual(maps);
    expect(seen[0]).not.toEqual(maps);
  });

  it('leave nothing behind, also when drawing is stopped', async () => {
    await expectNoLeak(async () => void (await pipeline.generate(meadow, { maps: true })));
    const stop = new AbortController();
    const stopped = pipeline.generate(meadow, { maps: true, signal: stop.signal, onStep: () => stop.abort() });
    await expect(stopped).rejects.toThrow('aborted after step 0 of 3');
  });
});

describe('maps', () => {
  beforeAll(() => setupBackend('cpu'));

  it('are null for what got no token: with overflow first, whatever comes late', async () => {
    const { parts } = tinyManifest;
    const encoder = { ...parts.encoder, maxTriples: 3, overflow: 'first' as const };
    const small = await loadPipeline(
      memorySource('small', await tinyModel({ ...tinyManifest, parts: { ...parts, encoder } })),
    );
    const { maps, withoutToken } = await small.generate(meadow, { maps: true });
    expect(withoutToken).toHaveLength(2);
    expect(maps!.relationships.map((map) => map?.length)).toEqual([64, 64]);
    expect(maps!.objects.map((map) => map?.length)).toEqual([64, undefined, undefined]);
    small.dispose();
  });

  it('say when they cannot be had', async () => {
    const pipeline = await loadPipeline(memorySource('tiny', await tinyModel()));
    let late: (() => Promise<unknown>) | undefined;
    await expect(pipeline.generate(meadow, { onStep: async (step) => void (await step.maps()) })).rejects.toThrow(
      'maps: expected a request with maps: true, received one without. Set it.',
    );
    await pipeline.generate(meadow, { maps: true, onStep: (step) => void (late = () => step.maps()) });
    await expect(late!()).rejects.toThrow('maps: expected to be called before onStep is over. Await it there.');
    pipeline.dispose();
  });
});

describe('pictureMaps', () => {
  beforeAll(() => setupBackend('cpu'));

  // Three tokens: a relation with itself is none here, so that of the one object, and that of the graph.
  const means = async (...added: { factor: number; shares: tf.Tensor4D }[]) => {
    const sums = createAttentionSums();
    added.forEach((one) => sums.add(one));
    const read = await sums.read();
    sums.dispose();
    sums.dispose();
    tf.dispose(added);
    return read;
  };
  const shares = (side: number, ofObject: number[]): tf.Tensor4D =>
    tf.tensor4d(
      ofObject.flatMap((share) => [share, 1 - share]),
      [1, side, side, 2],
    );

  it('are the means over layers and calls, bilinear between the centres of places', async () => {
    const [one] = await means(
      { factor: 1, shares: shares(2, [0, 1, 0, 0.5]) },
      { factor: 1, shares: shares(2, [0, 1, 0, 0]) },
    );
    const map = pictureMaps(one, tree, 4).objects[0]!;
    const half = 0.25; // of the last place, the mean of 0.5 and 0
    const row = (right: number): number[] => [0, right / 4, (3 * right) / 4, right];
    expect(map).toBeAllClose([...row(1), ...row(0.75 + half / 4), ...row(0.25 + (3 * half) / 4), ...row(half)]);
  });

  it('weigh layers of finer levels alike and leave out the coarsest level', async () => {
    const [three] = await means(
      { factor: 4, shares: shares(1, [1]) },
      { factor: 2, shares: shares(2, [0.5, 0.5, 0.5, 0.5]) },
      { factor: 1, shares: shares(4, Array(16).fill(0.2)) },
      { factor: 1, shares: shares(4, Array(16).fill(0)) },
    );
    expect(three.map(({ layers }) => layers)).toEqual([1, 1, 2]);
    expect(pictureMaps(three, tree, 8).objects[0]).toBeAllClose(new Float32Array(64).fill(0.7 / 3));
    const [only] = await means({ factor: 4, shares: shares(1, [0.4]) });
    expect(pictureMaps(only, tree, 2).objects[0]).toBeAllClose([0.4, 0.4, 0.4, 0.4]);
    expect(await means()).toEqual([]);
  });

  it('hold no tensor but the sums', async () => {
    await expectNoLeak(async () => void (await means({ factor: 1, shares: shares(2, [0, 1, 0, 1]) })));
  });
});
