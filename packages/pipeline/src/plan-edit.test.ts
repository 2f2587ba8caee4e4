// Which pictures an edit looks at to find its region: worked out here from the network's attention by other means.
import { disposeParams } from '@sgdiff/nn';
import { removeObject, renameObject, withIds, type SceneGraph } from '@sgdiff/sg-schema';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAttentionSums, pictureMaps } from './attention-maps';
import { drawLatents, type LatentDrawer } from './draw-latents';
import { planEdit, planOf, type Original } from './edit-picture';
import { editRegion } from './edit-region';
import { tinyDrawer } from './testing/tiny-model';

const meadow: SceneGraph = withIds({
  objects: ['sky', 'grass', 'sheep'],
  relationships: [
    [0, 'above', 1],
    [2, 'standing on', 1],
  ],
});
const withZebra = renameObject(meadow, 2, 'zebra');
const withTree = renameObject(withZebra, 2, 'tree'); // looked for in both pictures
const settings = { sampler: 'ddim', steps: 2, guidanceScale: 2 } as const;
const SIDE = 4;

describe('planEdit', () => {
  let drawer: LatentDrawer;
  let original: Original;
  beforeAll(async () => {
    await setupBackend('cpu');
    drawer = tinyDrawer();
    const waves = Float32Array.from({ length: 32 }, (_, i) => 4 * Math.sin(3 * i));
    original = { z: tf.tensor4d(waves, [1, SIDE, SIDE, 2]), pixels: new Uint8Array(0), sha256: '' };
  });
  afterAll(() => {
    disposeParams(drawer.encoder.params);
    disposeParams(drawer.unet.params);
    original.z.dispose();
  });

  /** The region by what two pictures of a batch looked at. */
  async function regionBetween(
    graphs: readonly SceneGraph[],
    [before, after]: readonly [number, number],
    seed: number,
    over: { regions?: (Float32Array | undefined)[]; known?: tf.Tensor4D } = {},
  ): Promise<string[]> {
    const sums = createAttentionSums();
    const z = await drawLatents(drawer, graphs, {
      ...settings,
      ...over,
      seeds: graphs.map(() => seed),
      onAttention: (attention) => sums.add(attention),
    });
    z.dispose();
    const means = await sums.read();
    sums.dispose();
    const looked = (i: number) => ({ graph: graphs[i]!, maps: pictureMaps(means[i]!, graphs[i]!, SIDE) });
    const digits = Array.from(editRegion(looked(before), looked(after), SIDE), (v) => Math.round(v * 15).toString(16));
    return Array.from({ length: SIDE }, (_, row) => digits.slice(row * SIDE, (row + 1) * SIDE).join(''));
  }

  it('of an edited picture: the last two, with what was edited before in its place', async () => {
    const forest: SceneGraph = {
      objects: ['tree', 'tree', 'sheep'],
      relationships: [[0, 'above', 2]],
    };
    const past = { graph: forest, region: ['0000', '0000', '0008', '008f'] };
    const [, region] = planOf({ graph: withZebra, edits: [past] }, drawer).regions;
    const graphs = [forest, withZebra, withTree];
    const seen = { firstTwo: 0, withoutPast: 0, partial: 0 };
    for (let seed = 0; seed < 8; seed++) {
      const plan = await planEdit(
        drawer,
        { graph: withZebra, edits: [past] },
        withTree,
        { ...settings, seed },
        original,
      );
      const found = plan.edits.at(-1)?.region ?? Array<string>(SIDE).fill('ffff');
      const regions = [undefined, region, undefined];
      expect(found).toEqual(await regionBetween(graphs, [1, 2], seed, { regions, known: original.z }));
      if (plan.edits.length > 0) {
        expect(plan.graphs).toEqual(graphs);
        expect(plan.edits).toEqual([past, { graph: withZebra, region: found }]);
        seen.partial++;
      }
      // The other pictures would have said something else, at least for some of the seeds.
      if (String(await regionBetween(graphs, [0, 2], seed, { regions, known: original.z })) !== String(found))
        seen.firstTwo++;
      if (
        String(
          await regionBetween(graphs, [1, 2], seed, { regions: [undefined, undefined, undefined], known: original.z }),
        ) !== String(found)
      )
        seen.withoutPast++;
    }
    expect(seen.partial).toBeGreaterThan(0);
    expect(seen.firstTwo).toBeGreaterThan(0);
    expect(seen.withoutPast).toBeGreaterThan(0);
  });

  it("of a picture of one's own: what the network looks at in it", async () => {
    let differs = 0;
    for (let seed = 0; seed < 12; seed++) {
      const plan = await planEdit(drawer, { graph: meadow }, withZebra, { ...settings, seed }, original);
      const found = plan.edits.at(-1)?.region ?? Array<string>(SIDE).fill('ffff');
      const graphs = [meadow, withZebra];
      expect(found).toEqual(
        await regionBetween(graphs, [0, 1], seed, { regions: [undefined, undefined], known: original.z }),
      );
      if (String(await regionBetween(graphs, [0, 1], seed)) !== String(found)) differs++;
    }
    expect(differs).toBeGreaterThan(0);
  });

  it('draws in full, without a past, what touches everything, and keeps the past of what touches nothing', async () => {
    const past = { graph: meadow, region: ['ff80', 'ff80', '8880', '0000'] };
    const record = { graph: withZebra, edits: [past] };
    const negative = { ...withZebra, negative: { objects: ['tree'], relationships: [] } };
    const alone = { graphs: [negative], regions: [undefined], edits: [] };
    expect(await planEdit(drawer, record, negative, { ...settings, seed: 1 })).toEqual(alone);
    const reordered = { ...withZebra, relationships: [...withZebra.relationships].reverse() };
    const same = await planEdit(drawer, record, reordered, { ...settings, seed: 1 });
    expect(same.graphs).toEqual([meadow, reordered]); // the new graph, as it was written
    expect(same.edits).toEqual([past]);
    let whole = 0;
    for (let seed = 0; seed < 12; seed++) {
      const gone = removeObject(removeObject(withZebra, 1), 0);
      const plan = await planEdit(drawer, { graph: withZebra }, gone, { ...settings, seed });
      if (plan.edits.length > 0) continue;
      whole++;
      expect(plan).toEqual({ graphs: [gone], regions: [undefined], edits: [] });
      const everywhere = (await regionBetween([withZebra, gone], [0, 1], seed)).join('');
      expect(everywhere).toBe('f'.repeat(SIDE * SIDE));
    }
    expect(whole).toBeGreaterThan(0);
  });

  it('leaves no tensor behind', () =>
    expectNoLeak(() => planEdit(drawer, { graph: meadow }, withZebra, { ...settings, seed: 0 })));
});
