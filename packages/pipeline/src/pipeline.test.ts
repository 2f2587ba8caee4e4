import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import type { SceneGraph } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadPipeline } from './load';
import { memorySource } from './model-source';
import type { GenerateOptions, Picture, Pipeline } from './pipeline';
import { parseRecord, type RequestRecord } from './record';
import { SAMPLERS, usualEta } from './samplers';
import { SIGMA_LISTS } from './sigma-lists';
import { sha256, tinyManifest, tinyModel, type ModelFiles } from './testing/tiny-model';

const meadow: SceneGraph = {
  objects: ['sky', 'grass', 'sheep'],
  relationships: [
    [0, 'above', 1],
    [2, 'standing on', 1],
  ],
};
const withZebra: SceneGraph = { ...meadow, objects: ['sky', 'grass', 'zebra'] };
const tree: SceneGraph = { objects: ['tree'], relationships: [] };

describe.each(['cpu', 'wasm'] as const)('a pipeline on %s', (backend) => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    await setupBackend(backend);
    pipeline = await loadPipeline(memorySource('tiny', await tinyModel()));
  });
  afterAll(() => pipeline.dispose());

  it('draws the same picture for the same graph and seed, and another one for another seed or graph', async () => {
    const first = await pipeline.generate(meadow, { seed: 7 });
    expect(first.pixels).toEqual((await pipeline.generate(meadow, { seed: 7 })).pixels);
    expect(first.pixels).not.toEqual((await pipeline.generate(meadow, { seed: 8 })).pixels);
    expect(first.pixels).not.toEqual((await pipeline.generate(withZebra, { seed: 7 })).pixels);
  });

  it.each(SAMPLERS)('draws with %s in a batch what it draws one by one', async (sampler) => {
    const graphs = [meadow, tree, withZebra];
    const seeds = [5, 2 ** 40, 0];
    const eta = usualEta(sampler) === undefined ? 0 : 0.5;
    const batch = await pipeline.generateBatch(graphs, { seeds, sampler, eta });
    for (const [i, graph] of graphs.entries()) {
      expect(batch[i]).toEqual(await pipeline.generate(graph, { seed: seeds[i], sampler, eta }));
    }
  });

  it('draws another picture with each list of sigmas, and each again from its record', async () => {
    const drawn = new Set<string>();
    for (const sigmas of SIGMA_LISTS) {
      const picture = await pipeline.generate(meadow, { seed: 4, sampler: 'unipc', steps: 5, sigmas });
      drawn.add(picture.pixels.join());
      expect(picture.record.sigmas).toBe(sigmas);
      expect(await pipeline.replay(JSON.parse(JSON.stringify(picture.record)) as RequestRecord)).toEqual(picture);
    }
    expect(drawn.size).toBe(SIGMA_LISTS.length);
  });

  it('replays a record from before lists of sigmas as it was', async () => {
    const picture = await pipeline.generate(meadow, { seed: 4, sampler: 'plms' });
    const { sigmas, ...older } = picture.record;
    expect(sigmas).toBe('schedule');
    expect(await pipeline.replay(older as RequestRecord)).toEqual(picture);
  });

  it('draws with the usual noise of a sampler unless told otherwise, and writes it down', async () => {
    const usual = await pipeline.generate(meadow, { sampler: 'euler-ancestral' });
    expect(usual.record.eta).toBe(1);
    const none = await pipeline.generate(meadow, { sampler: 'euler-ancestral', eta: 0 });
    expect(none.record.eta).toBe(0);
    expect(none.pixels).not.toEqual(usual.pixels);
    expect(none.pixels).toEqual((await pipeline.generate(meadow, { sampler: 'euler' })).pixels);
    expect(await pipeline.replay(none.record)).toEqual(none);
  });

  it('draws the picture of a record again, equal to the byte, also after a way through JSON', async () => {
    const picture = await pipeline.generate(meadow, { seed: 3, sampler: 'ddim', eta: 1, steps: 4, guidanceScale: 1.5 });
    const record = parseRecord(JSON.parse(JSON.stringify(picture.record)));
    expect(record).toEqual(picture.record);
    expect(await pipeline.replay(record)).toEqual(picture);
  });
});

describe('a pipeline', () => {
  let files: ModelFiles;
  let pipeline: Pipeline;
  beforeAll(async () => {
    await setupBackend('cpu');
    files = await tinyModel();
    pipeline = await loadPipeline(memorySource('tiny', files));
  });
  afterAll(() => pipeline.dispose());

  it('gives pixels of the size it says and a record of all it did', async () => {
    const picture = await pipeline.generate(meadow);
    expect({ ...picture, pixels: picture.pixels.length }).toEqual({
      width: 8,
      height: 8,
      pixels: 8 * 8 * 3,
      withoutToken: [],
      record: {
        format: 1,
        graph: meadow,
        model: { name: 'tiny', sha256: sha256(files['model.json']) },
        seed: 0,
        sampler: 'dpm-solver++2m',
        steps: 3,
        spacing: 'trailing',
        sigmas: 'schedule',
        guidanceScale: 2,
        eta: 0,
        backend: 'cpu',
        versions: {
          '@sgdiff/pipeline': expect.stringMatching(/^\d+\.\d+\.\d+/),
          '@tensorflow/tfjs-core': tf.version_core,
        },
      },
    });
    expect(new Set(picture.pixels).size).toBeGreaterThan(10); // no plain surface
  });

  it('takes the seeds 0, 1, 2, … for a batch without seeds, and gives nothing for no graphs', async () => {
    expect((await pipeline.generateBatch([tree, tree])).map(({ record }) => record.seed)).toEqual([0, 1]);
    expect(await pipeline.generateBatch([])).toEqual([]);
  });

  it('edits with the noise and settings of the record: the same graph gives the same picture', async () => {
    const picture = await pipeline.generate(meadow, { seed: 9, steps: 2, guidanceScale: 3 });
    expect(await pipeline.edit(picture.record, meadow)).toEqual(picture);
    const edited = await pipeline.edit(picture.record, withZebra, { redraw: 'all' });
    expect(edited).toEqual(await pipeline.generate(withZebra, { seed: 9, steps: 2, guidanceScale: 3 }));
    expect(edited.pixels).not.toEqual(picture.pixels);
  });

  it('follows the graph without guidance at scale 1, with half the network', async () => {
    const plain = await pipeline.generate(meadow, { guidanceScale: 1 });
    expect(plain.pixels).not.toEqual((await pipeline.generate(withZebra, { guidanceScale: 1 })).pixels);
    expect(plain.pixels).not.toEqual((await pipeline.generate(meadow, { guidanceScale: 2 })).pixels);
    // Guidance of almost 1 is all but no guidance.
    const almost = await pipeline.generate(meadow, { guidanceScale: 1 + 1e-9 });
    expect(almost.pixels).toBeAllClose(plain.pixels, { atol: 1 });
  });

  it('leaves the graph aside at guidance 0', async () => {
    const nothing = await pipeline.generate(meadow, { guidanceScale: 0 });
    expect(nothing.pixels).toEqual((await pipeline.generate(withZebra, { guidanceScale: 0 })).pixels);
  });

  it('leads away from a negative graph; at guidance 0 it draws nothing else', async () => {
    const plain = await pipeline.generate(meadow);
    const away = await pipeline.generate({ ...meadow, negative: tree });
    expect(away.pixels).not.toEqual(plain.pixels);
    expect(away.record.graph.negative).toEqual(tree);
    const only = await pipeline.generate({ ...meadow, negative: tree }, { guidanceScale: 0 });
    expect(only.pixels).toEqual((await pipeline.generate(tree, { guidanceScale: 1 })).pixels);
    const batch = await pipeline.generateBatch([{ ...meadow, negative: tree }, meadow], { seeds: [0, 0] });
    expect(batch.map(({ pixels }) => pixels)).toEqual([away.pixels, plain.pixels]);
  });

  it('does not let the batch change a picture of a network that attends to padding', async () => {
    const { parts } = tinyManifest;
    const published = { ...tinyManifest, parts: { ...parts, unet: { ...parts.unet, maskPadding: false } } };
    const attentive = await loadPipeline(memorySource('attentive', await tinyModel(published)));
    try {
      const [alone] = await attentive.generateBatch([tree], { seeds: [1] });
      const [beside] = await attentive.generateBatch([tree, meadow], { seeds: [1, 2] });
      expect(beside).toEqual(alone);
    } finally {
      attentive.dispose();
    }
  });

  it('carries out requests at the same time without mixing them up', async () => {
    const [a, b] = await Promise.all([pipeline.generate(meadow, { seed: 1 }), pipeline.generate(tree, { seed: 2 })]);
    expect(a).toEqual(await pipeline.generate(meadow, { seed: 1 }));
    expect(b).toEqual(await pipeline.generate(tree, { seed: 2 }));
  });

  it('reports each step; the last preview is the picture', async () => {
    const steps: [number, number][] = [];
    let last: Uint8Array[] = [];
    const onStep: GenerateOptions['onStep'] = async ({ index, steps: count, preview }) => {
      steps.push([index, count]);
      last = await preview();
    };
    const pictures = await pipeline.generateBatch([meadow, tree], { onStep });
    expect(steps).toEqual([
      [0, 3],
      [1, 3],
      [2, 3],
    ]);
    expect(last).toEqual(pictures.map(({ pixels }) => pixels));
  });

  it('refuses a preview of a step that is over', async () => {
    const late: (() => Promise<Uint8Array[]>)[] = [];
    await pipeline.generate(tree, { onStep: ({ preview }) => void late.push(preview) });
    await expect(late[0]()).rejects.toThrow('preview: expected to be called before onStep is over. Await it there.');
  });

  describe('memory', () => {
    it('leaves nothing behind by drawing and previewing', async () => {
      await expectNoLeak(() => pipeline.generate(meadow, { onStep: ({ preview }) => preview().then(() => undefined) }));
      await expectNoLeak(() => pipeline.generateBatch([meadow, tree], { sampler: 'ddpm', guidanceScale: 1 }));
    });

    it('stops within a step of the abort and leaves nothing behind', async () => {
      const controller = new AbortController();
      const seen: number[] = [];
      const run = (): Promise<Picture> =>
        pipeline.generate(meadow, {
          steps: 10,
          signal: controller.signal,
          onStep: ({ index }) => {
            seen.push(index);
            if (index === 1) controller.abort();
          },
        });
      await expectNoLeak(() => expect(run()).rejects.toMatchObject({ name: 'AbortError' }));
      expect(seen).toEqual([0, 1]);
      await expectNoLeak(() => expect(run()).rejects.toMatchObject({ name: 'AbortError' })); // aborted from the start
      expect(seen).toEqual([0, 1]);
    });

    it('leaves nothing behind when onStep throws or a request is refused', async () => {
      const fail = (): never => {
        throw new Error('no more');
      };
      await expectNoLeak(() => expect(pipeline.generate(meadow, { onStep: fail })).rejects.toThrow('no more'));
      await expectNoLeak(() => expect(pipeline.generate(meadow, { seed: -1 })).rejects.toThrow('seed'));
      await expectNoLeak(() =>
        expect(pipeline.generate({ objects: ['boat'], relationships: [] })).rejects.toThrow('boat'),
      );
    });

    it('frees the weights when disposed, once, after the request under way', async () => {
      const before = tf.memory().numTensors;
      const own = await loadPipeline(memorySource('tiny', files));
      const running = own.generate(meadow);
      own.dispose();
      own.dispose();
      const refusal = 'This pipeline was disposed. Load the model again.';
      await expect(own.generate(meadow)).rejects.toThrow(refusal);
      await expect(own.generateBatch([])).rejects.toThrow(refusal);
      const picture = await running;
      expect(picture).toEqual(await pipeline.generate(meadow));
      await expect(own.replay(picture.record)).rejects.toThrow(refusal);
      expect(tf.memory().numTensors).toBe(before);
    });
  });

  describe('refuses', () => {
    const cases: [what: string, request: () => Promise<unknown>, message: string][] = [
      [
        'an unknown word, with the path and the nearest words',
        () => pipeline.generate({ objects: ['sky', 'sheeep'], relationships: [] }),
        'parseSceneGraph: objects[1]: expected one of the 5 known objects, received "sheeep"; perhaps "sheep" is meant.',
      ],
      [
        'an unknown word in a batch, with the place of the graph',
        () => pipeline.generateBatch([tree, { objects: ['sheeep'], relationships: [] }]),
        'parseSceneGraphs: [1].objects[0]: expected one of the 5 known objects, received "sheeep"; perhaps "sheep" is meant.',
      ],
      [
        'too many triples, by name',
        () =>
          pipeline.generate({ objects: Array.from({ length: 8 }, () => 'tree'), relationships: [[0, 'behind', 1]] }),
        'parseSceneGraph: relationships: expected at most 8 triples, received 9 (1 relation and 8 objects, each of which takes ' +
          'one __in_image__ triple); remove relations or objects: there is no room for the __in_image__ triple of objects[7] "tree".',
      ],
      [
        'no steps',
        () => pipeline.generate(tree, { steps: 0 }),
        'steps: expected a whole number from 1, received 0. Leave it out for the model’s own.',
      ],
      [
        'half a step',
        () => pipeline.generate(tree, { steps: 2.5 }),
        'steps: expected a whole number from 1, received 2.5. Leave it out for the model’s own.',
      ],
      [
        'more steps than the schedule has',
        () => pipeline.generate(tree, { steps: 51 }),
        'steps: expected at most 50, which this model was trained with, received 51.',
      ],
      [
        'an unknown sampler',
        () => pipeline.generate(tree, { sampler: 'dpm++' as 'ddim' }),
        'Unknown sampler "dpm++", expected one of: dpm-solver++2m, ddim, ddpm, plms, euler, euler-ancestral, heun, dpm2, lms, ' +
          'dpm-solver++2m-sde, dpm-solver++3m-sde, dpm-solver++2s-ancestral, unipc, deis, lcm.',
      ],
      [
        'a seed below 0',
        () => pipeline.generate(tree, { seed: -1 }),
        'seed: expected a whole number from 0 to 2^53 - 1, received -1.',
      ],
      [
        'a seed that is no whole number',
        () => pipeline.generateBatch([tree, tree], { seeds: [0, 0.5] }),
        'seed: expected a whole number from 0 to 2^53 - 1, received 0.5.',
      ],
      [
        'another number of seeds than graphs',
        () => pipeline.generateBatch([tree, tree], { seeds: [1] }),
        'seeds: expected one per graph, 2, received 1.',
      ],
      [
        'guidance that is no number',
        () => pipeline.generate(tree, { guidanceScale: NaN }),
        'guidanceScale: expected a number from 0, received NaN. 1 is without guidance; leave it out for the model’s own.',
      ],
      [
        'eta above 1',
        () => pipeline.generate(tree, { sampler: 'ddim', eta: 2 }),
        'eta: expected a number from 0 to 1, received 2. Leave it out for the model’s own.',
      ],
      [
        'eta for a sampler that has none',
        () => pipeline.generate(tree, { eta: 0.5 }),
        'eta: expected 0 with sampler "dpm-solver++2m", received 0.5. Leave eta out, or take sampler "ddim".',
      ],
      [
        'a negative graph without guidance',
        () => pipeline.generate({ ...meadow, negative: tree }, { guidanceScale: 1 }),
        'guidanceScale: expected another value than 1 for a graph with a negative graph, received 1. ' +
          'A negative graph works through guidance: raise guidanceScale, or leave the negative graph out.',
      ],
    ];
    it.each(cases)('%s', async (_, request, message) => {
      const name = message.startsWith('parse') ? 'SceneGraphError' : 'RequestError';
      await expect(request()).rejects.toMatchObject({ name, message });
    });

    it('a record of another model, in replay and in edit', async () => {
      const { record } = await pipeline.generate(tree);
      const foreign: RequestRecord = { ...record, model: { name: 'grand', sha256: 'ab'.repeat(32) } };
      const own = record.model.sha256.slice(0, 12);
      const message =
        `The picture was drawn with model "grand" (abababababab…), this is "tiny" (${own}…). ` +
        'Load that model, or draw the graph anew with generate.';
      await expect(pipeline.replay(foreign)).rejects.toMatchObject({ name: 'RequestError', message });
      await expect(pipeline.edit(foreign, meadow)).rejects.toMatchObject({ name: 'RequestError', message });
    });

    it('a record without a seed, instead of taking seed 0', async () => {
      const { seed, ...record } = (await pipeline.generate(tree)).record;
      await expect(pipeline.edit(record as RequestRecord, tree)).rejects.toMatchObject({
        name: 'RequestError',
        message: 'Request record: seed: expected a whole number from 0 to 2^53 - 1, received nothing.',
      });
      expect(seed).toBe(0);
    });
  });
});

describe('a pipeline of a model whose own sampler has an eta', () => {
  it('draws with it, and with other samplers as they usually do', async () => {
    const defaults = { ...tinyManifest.defaults, sampler: 'euler-ancestral', eta: 0.25 } as const;
    const pipeline = await loadPipeline(memorySource('tiny', await tinyModel({ ...tinyManifest, defaults })));
    try {
      const etaOf = async (options: GenerateOptions): Promise<number> =>
        (await pipeline.generate(tree, options)).record.eta;
      expect(await etaOf({})).toBe(0.25);
      expect(await etaOf({ eta: 1 })).toBe(1);
      expect(await etaOf({ sampler: 'ddim' })).toBe(0);
      expect(await etaOf({ sampler: 'dpm-solver++2m-sde' })).toBe(1);
      expect(await etaOf({ sampler: 'euler' })).toBe(0);
    } finally {
      pipeline.dispose();
    }
  });
});

describe('a pipeline of a model without a null condition', () => {
  it('draws without guidance and refuses guidance', async () => {
    const { parts, defaults } = tinyManifest;
    const manifest = {
      ...tinyManifest,
      defaults: { ...defaults, guidanceScale: 1 },
      parts: { ...parts, unet: { ...parts.unet, nullToken: false } },
    };
    const pipeline = await loadPipeline(memorySource('plain', await tinyModel(manifest)));
    try {
      expect((await pipeline.generate(tree)).record.guidanceScale).toBe(1);
      await expect(pipeline.generate(tree, { guidanceScale: 2 })).rejects.toMatchObject({
        name: 'RequestError',
        message: 'guidanceScale: expected 1, since this model was not trained for guidance, received 2. Leave it out.',
      });
    } finally {
      pipeline.dispose();
    }
  });
});
