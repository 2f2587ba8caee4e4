// The published system through the pipeline: its sampler, its padding, its 15 tokens.
import { unetTensors, type UnetConfig, type UnetParams } from '@sgdiff/diffusion-unet';
import { disposeParams, treeFromPaths, type TensorEntry } from '@sgdiff/nn';
import { createSchedule, type ScheduleConfig } from '@sgdiff/sampler';
import { sgEncoderTensors, type SgEncoderConfig, type SgEncoderParams } from '@sgdiff/sg-encoder';
import { createVocabulary, type SceneGraph } from '@sgdiff/sg-schema';
import { backendProblem, expectNoLeak, readGolden, seededWeights, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drawLatents, type LatentDrawer } from './draw-latents';
import { loadPipeline } from './load';
import { memorySource } from './model-source';
import type { Pipeline } from './pipeline';
import { parseRecord, type RequestRecord } from './record';
import { tinyManifest, tinyModel } from './testing/tiny-model';

type Golden = {
  readonly schedule: ScheduleConfig;
  readonly encoder: SgEncoderConfig;
  readonly unet: UnetConfig;
  readonly objects: string[];
  readonly predicates: string[];
  readonly graphs: SceneGraph[];
  readonly seeds: number[];
  readonly steps: number;
  readonly latentShape: [h: number, w: number, C: number];
  /** Variance-preserving latents after each step. */
  readonly states: number[][];
};
const golden = readGolden<Golden>(import.meta.url, '../fixtures/published.golden.json');

/** Weights from their names. `fanIn` is the maker's. */
function seeded<T>(entries: readonly (TensorEntry & { readonly fanIn?: number })[]): T {
  const shapes = new Map(entries.map(({ path, shape }) => [path, [...shape]]));
  const weights = [...seededWeights(entries)];
  return treeFromPaths(weights.map(([path, values]) => [path, tf.tensor(values, shapes.get(path)!)])) as T;
}

const noWebgpu = await backendProblem('webgpu');

describe.each(['cpu', 'wasm', 'webgpu'] as const)('graph to latents as published, on %s', (backend) => {
  const problem = backend === 'webgpu' ? noWebgpu : undefined;
  const tolerance = backend === 'webgpu' ? 1e-3 : 1e-4; // of the largest value: float32 against float64
  let drawer: LatentDrawer;
  beforeAll(async () => {
    if (problem !== undefined) return;
    await setupBackend(backend);
    const { encoder, unet, schedule, objects, predicates, latentShape } = golden;
    const halved = sgEncoderTensors(encoder).map((entry) => ({ ...entry, fanIn: entry.shape[0]! / 2 }));
    drawer = {
      vocabulary: createVocabulary(objects, predicates),
      encoder: { params: seeded<SgEncoderParams>(halved), config: encoder },
      unet: { params: seeded<UnetParams>(unetTensors(unet)), config: unet },
      schedule: createSchedule(schedule),
      prediction: 'eps',
      latentShape,
    };
  });
  afterAll(() => {
    if (problem !== undefined) return;
    disposeParams(drawer.encoder.params);
    disposeParams(drawer.unet.params);
  });

  // A graph of 3 triples, which attends to 12 slots of padding, and one of 18, of which 3 get no token.
  it.skipIf(problem)(
    `follows diffusers' network and DDIM (eta 1, ${golden.steps} steps) state by state${problem ? ` (${problem})` : ''}`,
    async () => {
      const { graphs, seeds, steps, states } = golden;
      const errors: number[] = [];
      const compare = (values: ArrayLike<number>, scale: number, expected: readonly number[]): void => {
        const size = Math.max(...expected.map(Math.abs));
        errors.push(Math.max(...expected.map((value, i) => Math.abs(value - values[i]! * scale))) / size);
      };
      const z = await drawLatents(drawer, graphs, {
        ...{ seeds, steps, sampler: 'ddim', spacing: 'published', eta: 1, guidanceScale: 1 },
        onStep: async ({ index, sigmaNext, x }) => {
          compare(await x.data(), 1 / Math.sqrt(1 + sigmaNext ** 2), states[index]!);
        },
      });
      compare(await z.data(), 1, states.at(-1)!);
      expect(z.shape).toEqual([2, ...golden.latentShape]);
      z.dispose();
      expect(errors).toHaveLength(steps + 1);
      expect(Math.max(...errors)).toBeLessThan(tolerance);
    },
  );

  // Not on webgpu, where every other batch is other shaders to compile: half a minute on SwiftShader.
  it.skipIf(backend === 'webgpu')(
    'draws the same alone and in a batch, with padding attended and triples without a token',
    async () => {
      const { graphs, seeds } = golden;
      const settings = { steps: 2, sampler: 'ddim', spacing: 'published', eta: 1, guidanceScale: 1 } as const;
      const both = await drawLatents(drawer, graphs, { ...settings, seeds });
      for (const [i, graph] of graphs.entries()) {
        const alone = await drawLatents(drawer, [graph], { ...settings, seeds: [seeds[i]!] });
        const beside = tf.slice(both, i, 1);
        expect(beside).toBeAllClose(alone, { rtol: 0, atol: 1e-5 }); // sums of more zeros, in other groups
        tf.dispose([alone, beside]);
      }
      both.dispose();
    },
  );
});

/** A model with the settings of an imported one: no null token, padding attended, tokens for the first 8 triples. */
const published = {
  ...tinyManifest,
  prediction: 'eps',
  schedule: { kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 },
  defaults: { sampler: 'ddim', steps: 4, guidanceScale: 1, eta: 1, spacing: 'published' },
  parts: {
    ...tinyManifest.parts,
    encoder: { ...tinyManifest.parts.encoder, overflow: 'first' },
    unet: { ...tinyManifest.parts.unet, maskPadding: false, nullToken: false },
  },
} as const satisfies typeof tinyManifest;

const tree: SceneGraph = { objects: ['tree'], relationships: [] };
/** 4 relations and 6 objects: 10 triples. */
const crowd: SceneGraph = {
  objects: ['sky', 'grass', 'sheep', 'zebra', 'tree', 'tree'],
  relationships: [
    [0, 'above', 1],
    [2, 'standing on', 1],
    [3, 'standing on', 1],
    [4, 'behind', 2],
  ],
};

describe('a pipeline of a published model', () => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    await setupBackend('cpu');
    pipeline = await loadPipeline(memorySource('published', await tinyModel(published)));
  });
  afterAll(() => pipeline.dispose());

  it('draws as published unless told otherwise', async () => {
    const { record } = await pipeline.generate(tree);
    expect(record).toMatchObject({ sampler: 'ddim', steps: 4, spacing: 'published', eta: 1, guidanceScale: 1 });
  });

  it("does not carry the model's eta over to another sampler, and lets a request set all of it", async () => {
    const plms = await pipeline.generate(tree, { sampler: 'plms' });
    expect(plms.record).toMatchObject({ sampler: 'plms', eta: 0, spacing: 'published' });
    const own = await pipeline.generate(tree, { eta: 0.5, spacing: 'leading', steps: 3 });
    expect(own.record).toMatchObject({ sampler: 'ddim', eta: 0.5, spacing: 'leading', steps: 3 });
  });

  it('draws another picture with each spacing, and each again from its record', async () => {
    const seen = new Set<string>();
    for (const spacing of ['trailing', 'leading', 'linspace', 'published'] as const) {
      const pictures = await pipeline.generateBatch([tree, tree, tree], { spacing });
      const record = parseRecord(JSON.parse(JSON.stringify(pictures[1].record)));
      expect(await pipeline.replay(record)).toEqual(pictures[1]);
      expect(await pipeline.edit(record, tree, { redraw: 'all' })).toEqual(pictures[1]);
      seen.add(pictures.map(({ pixels }) => pixels.join()).join());
    }
    expect(seen.size).toBe(4);
  });

  it('replays a record from before spacings with the one of then, whatever the model prefers now', async () => {
    const { spacing, ...older } = (await pipeline.generate(tree, { spacing: 'trailing', seed: 5 })).record;
    const replayed = await pipeline.replay(older as RequestRecord);
    expect(replayed).toEqual(await pipeline.generate(tree, { spacing, seed: 5 }));
  });

  it('takes the steps that the published code takes, reports them, and draws the same again from the number asked', async () => {
    const seen: number[] = [];
    const picture = await pipeline.generate(tree, {
      steps: 30,
      onStep: ({ index, steps }) => void seen.push(index, steps),
    });
    expect(seen.slice(-2)).toEqual([30, 31]);
    expect(picture.record.steps).toBe(30);
    expect(await pipeline.replay(picture.record)).toEqual(picture);
  });

  it('refuses the numbers of steps with which the published code crashes, and names others', async () => {
    await expectNoLeak(() =>
      expect(pipeline.generate(tree, { steps: 27 })).rejects.toMatchObject({
        name: 'RequestError',
        message:
          'steps, with spacing "published": expected a number of steps whose timesteps end within the schedule, received 27: ' +
          'the last would be 1000, and the schedule ends at 999. Take 26 (which takes 27) or 28 (which takes 29).',
      }),
    );
    expect((await pipeline.generate(tree, { steps: 27, spacing: 'trailing' })).record.steps).toBe(27);
  });

  it('refuses an unknown spacing, and guidance', async () => {
    await expect(pipeline.generate(tree, { spacing: 'karras' as 'leading' })).rejects.toMatchObject({
      name: 'RequestError',
      message: 'Unknown spacing "karras", expected one of: trailing, leading, linspace, published.',
    });
    await expect(pipeline.generate(tree, { guidanceScale: 2 })).rejects.toMatchObject({
      name: 'RequestError',
      message: 'guidanceScale: expected 1, since this model was not trained for guidance, received 2. Leave it out.',
    });
  });

  it('leaves nothing behind', async () => {
    await expectNoLeak(() => pipeline.generate(crowd));
    await expectNoLeak(() => pipeline.generate(crowd, { sampler: 'plms', onStep: async ({ preview }) => void (await preview()) }));
  });

  describe('with more triples than tokens', () => {
    it('draws the graph and says which triples have no token: the last, so relations come before __in_image__', async () => {
      expect(pipeline.maxTriples).toBe(Infinity);
      const pictures = await pipeline.generateBatch([crowd, tree]);
      expect(pictures.map(({ withoutToken }) => withoutToken)).toEqual([
        [
          [4, '__in_image__', 6],
          [5, '__in_image__', 6],
        ],
        [],
      ]);
    });

    it('still hears of every triple, through the other tokens and the global vector', async () => {
      const many: SceneGraph = {
        ...crowd,
        relationships: [...crowd.relationships, ...crowd.relationships, [5, 'behind', 2]],
      };
      const other: SceneGraph = { ...many, relationships: [...many.relationships.slice(0, -1), [5, 'behind', 3]] };
      const [a, b] = [await pipeline.generate(many), await pipeline.generate(other)];
      expect(a.withoutToken[0]).toEqual([5, 'behind', 2]);
      expect(a.pixels).not.toEqual(b.pixels);
    });

    it('draws in a batch what it draws one by one', async () => {
      const pictures = await pipeline.generateBatch([tree, crowd, tree], { seeds: [1, 2, 1] });
      const alone = await pipeline.generate(tree, { seed: 1 });
      expect(pictures[0]).toEqual(alone);
      expect(pictures[2]).toEqual(alone);
      expect(pictures[1]).toEqual(await pipeline.generate(crowd, { seed: 2 }));
    });
  });
});

describe('padding that is attended to', () => {
  it('changes the picture: the network hears how many triples there are not', async () => {
    await setupBackend('cpu');
    const draw = async (maskPadding: boolean): Promise<Uint8Array> => {
      const parts = { ...published.parts, unet: { ...published.parts.unet, maskPadding } };
      const pipeline = await loadPipeline(memorySource('padded', await tinyModel({ ...published, parts })));
      try {
        return (await pipeline.generate(tree)).pixels;
      } finally {
        pipeline.dispose();
      }
    };
    expect(await draw(false)).not.toEqual(await draw(true));
  });
});
