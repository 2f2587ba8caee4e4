import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  countParams,
  createAdamW,
  createRng,
  disposeParams,
  flattenParams,
  linear,
  mapParams,
  toVariables,
  type LinearParams,
  type Rng,
} from '@sgdiff/nn';
import { createVocabulary, packGraphs, type SceneGraph } from '@sgdiff/sg-schema';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import {
  clipImageEncoder,
  frozenImageEncoder,
  initClipImageEncoder,
  initPretrain,
  initPretrainWith,
  oppositeIndices,
  patchify,
  pictureBookPretrainConfig,
  pretrainDecayFilter,
  PretrainError,
  pretrainGradients,
  pretrainLoss,
  publishedPretrainConfig,
  type ClipVisionConfig,
  type ImageEncoder,
  type PretrainBatch,
  type PretrainConfig,
} from './index';

const vocabulary = createVocabulary(['__image__', 'sky', 'grass', 'sheep'], ['__in_image__', 'above', 'below', 'on']);
const config: PretrainConfig = {
  encoder: {
    objectCount: 4,
    predicateCount: 4,
    width: 8,
    layers: 2,
    hiddenWidth: 8,
    globalWidth: 6,
    maxTriples: 12,
    norm: 'layer',
    residual: true,
  },
  image: {
    imageSize: 16,
    stemWidth: 4,
    stemBlocks: 1,
    width: 8,
    blocks: 1,
    narrowWidth: 2,
    hiddenWidth: 8,
    globalWidth: 6,
    groups: 2,
  },
  imageSize: 16,
  tokens: { rows: 2, columns: 2, width: 8 },
  target: 'pixels',
  reconstruction: { heads: 2 },
  maskProbability: 0.7,
  maskedShare: 1,
  maskedWeight: 1,
};

const graphs: SceneGraph[] = [
  { objects: ['sky', 'grass'], relationships: [[0, 'above', 1]], boxes: [[0, 0, 1, 0.5], [0, 0.5, 1, 1]] }, // prettier-ignore
  { objects: ['sheep', 'grass'], relationships: [[0, 'on', 1]], boxes: [[0.2, 0.4, 0.6, 0.8], null] },
  { objects: ['sky', 'sheep'], relationships: [[1, 'below', 0]], boxes: [[0, 0, 1, 0.4], [0.5, 0.5, 0.9, 0.9]] }, // prettier-ignore
];

function makeBatch(): PretrainBatch {
  const pixels = createRng('pixels').fillUniform(new Float32Array(3 * 16 * 16 * 3)).map((x) => 2 * x - 1); // prettier-ignore
  return {
    images: tf.tensor4d(pixels, [3, 16, 16, 3]),
    packed: packGraphs(graphs, vocabulary, { maxTriples: 12 }),
    boxes: graphs.map((graph) => graph.boxes!),
  };
}

/** A CLIP of 16 px that knows nothing, and a config for it. */
function tinyClip(local: 'mlp' | 'patches') {
  const clip: ClipVisionConfig = {
    imageSize: 16,
    patchSize: 8,
    width: 8,
    layers: 1,
    heads: 2,
    mlpWidth: 12,
    outputWidth: 6,
    activation: 'quick-gelu',
  };
  const clipParams = initClipImageEncoder(clip, createRng('clip'));
  const clipConfig: PretrainConfig = {
    ...config,
    image: null,
    target: 'features',
    tokens: { rows: 2, columns: 2, width: 8, classToken: true },
  };
  const imageEncoder = frozenImageEncoder((images) => clipImageEncoder(clipParams, clip, images, { local }));
  return { clipParams, clipConfig, imageEncoder };
}

describe.each(['cpu', 'wasm'] as const)('pretrainGradients on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('reaches every weight, and the loss is the sum of its parts', async () => {
    const start = initPretrain(config, createRng(1));
    const params = toVariables(start);
    const batch = makeBatch();
    const out = pretrainGradients(params, { ...config, maskedWeight: 0.5, hardNegatives: true }, batch, createRng(2), {
      opposites: oppositeIndices(vocabulary),
    });
    const [loss, contrastive, masked] = await Promise.all(
      [out.loss, out.contrastive, out.masked].map(async (x) => (await x.data())[0]!),
    );
    expect(loss).toBeCloseTo(contrastive! + 0.5 * masked!, 5);
    expect(Object.keys(out.grads)).toEqual(flattenParams(params).map(({ path }) => path));
    for (const [path, grad] of Object.entries(out.grads)) {
      const largest = Math.max(...(await grad.data()).map(Math.abs));
      expect(Number.isFinite(largest) && largest > 1e-8, `${path}: ${largest}`).toBe(true);
    }
    tf.dispose([batch.images, out.loss, out.contrastive, out.masked, ...Object.values(out.grads)]);
    disposeParams(params);
    disposeParams(start);
  });
});

describe('pretrainLoss', () => {
  beforeAll(() => setupBackend('cpu'));

  const value = async (x: tf.Scalar): Promise<number> => (await x.data())[0]!;

  it('has a masked part of 0 where nothing is hidden, and the same draw for the same rng', async () => {
    const params = initPretrain(config, createRng(1));
    const batch = makeBatch();
    const none = pretrainLoss(params, { ...config, maskProbability: 0 }, batch, createRng(1));
    expect(await value(none.masked)).toBe(0);
    const [a, b] = [1, 1].map((seed) => pretrainLoss(params, config, batch, createRng(seed)));
    expect(await value(a!.masked)).toBeGreaterThan(0);
    expect(await value(a!.loss)).toBe(await value(b!.loss));
    for (const out of [none, a!, b!]) tf.dispose([out.loss, out.contrastive, out.masked]);
    batch.images.dispose();
    disposeParams(params);
  });

  it('counts the error on hidden pixels only, and hides them from the image encoder', async () => {
    // Everything is known: box 1 hides the left half, the guess is 0 everywhere, so the error is the mean square there.
    const zeroed = (path: string): boolean => path.startsWith('out.');
    const start = initPretrain(config, createRng(1));
    const params = {
      ...start,
      reconstruction: mapParams(start.reconstruction, (t, path) => (zeroed(path) ? tf.zerosLike(t) : tf.clone(t))),
    };
    const left = tf.fill([1, 16, 8, 3], 0.5);
    const right = tf.fill([1, 16, 8, 3], -0.25);
    const images = tf.concat([left, right], 2) as tf.Tensor4D;
    const seen: number[][] = [];
    const spy: ImageEncoder = (x) => {
      seen.push([...x.dataSync()]);
      return { local: tf.zeros([1, 4, 8]), global: tf.ones([1, 6]) };
    };
    const batch = {
      images,
      packed: packGraphs([graphs[1]!], vocabulary, { maxTriples: 12 }),
      boxes: [[[0, 0, 0.5, 1] as const, null]],
    };
    const out = pretrainLoss(params, { ...config, maskProbability: 1 }, batch, createRng(1), { imageEncoder: spy });
    expect(await value(out.masked)).toBeCloseTo(0.25, 6);
    const masked = seen[1]!;
    masked.forEach((pixel, i) => expect(pixel).toBeCloseTo(Math.floor(i / 3) % 16 < 8 ? 0 : -0.25, 6));
    expect(seen[0]!.some((pixel) => pixel === 0.5)).toBe(true); // the contrastive part sees the whole image
    tf.dispose([out.loss, out.contrastive, out.masked, left, right, images]);
    disposeParams(params.reconstruction);
    disposeParams(start);
  });

  it('trains against a frozen encoder by its features, without a gradient through the target', async () => {
    // Frozen: fixed projection of patches, not part of the weights.
    const frozen: LinearParams = { weight: tf.tensor2d(createRng('frozen').fillNormal(new Float32Array(192 * 8)), [192, 8]) }; // prettier-ignore
    const imageEncoder: ImageEncoder = (images) => {
      const local = linear(frozen, patchify(images, 2, 2));
      return { local, global: tf.slice(tf.mean(local, 1), [0, 0], [images.shape[0], 6]) as tf.Tensor2D };
    };
    const featureConfig: PretrainConfig = { ...config, image: null, target: 'features' };
    const start = initPretrainWith(featureConfig, {}, createRng(1));
    const params = toVariables(start);
    const batch = makeBatch();
    await expectNoLeak(() => pretrainGradients(params, featureConfig, batch, createRng(2), { imageEncoder }));
    const out = pretrainGradients(params, featureConfig, batch, createRng(2), { imageEncoder });
    expect(Object.keys(out.grads).some((path) => path.startsWith('image'))).toBe(false);
    expect(await value(out.masked)).toBeGreaterThan(0);
    tf.dispose([out.loss, out.contrastive, out.masked, ...Object.values(out.grads)]);
    tf.dispose([frozen.weight, batch.images]);
    disposeParams(params);
    disposeParams(start);
  });

  it('does not let the target move: an image encoder in training gets no gradient from the features of the whole image', async () => {
    // One weight w, local = w * patches. If the target let gradient through, guess 0 and target w x would pull w to 0.
    const w = tf.variable(tf.scalar(1));
    const featureConfig: PretrainConfig = { ...config, image: null, target: 'features', maskProbability: 1 };
    const start = initPretrainWith(featureConfig, { w }, createRng(1));
    const params = {
      ...start,
      reconstruction: mapParams(start.reconstruction, (t) => tf.zerosLike(t)), // guess is 0 whatever comes in
    };
    const imageEncoder: ImageEncoder = (images) => ({
      local: tf.mul(tf.slice(patchify(images, 2, 2), [0, 0, 0], [-1, -1, 8]), w),
      global: tf.ones([images.shape[0], 6]),
    });
    const batch = makeBatch();
    const grad = tf.tidy(
      () =>
        tf
          .variableGrads(() => pretrainLoss(params, featureConfig, batch, createRng(1), { imageEncoder }).masked, [w])
          .grads[w.name]!.dataSync()[0],
    );
    expect(grad).toBe(0);
    batch.images.dispose();
    disposeParams(params.reconstruction);
    disposeParams(start);
  });

  it('trains against a frozen CLIP by the features of all its tokens, the class token too', async () => {
    const { clipParams, clipConfig, imageEncoder } = tinyClip('mlp');
    let encodings = 0;
    const counted: ImageEncoder = (images) => {
      encodings++;
      return imageEncoder(images);
    };
    const start = initPretrainWith(clipConfig, {}, createRng(1));
    const params = toVariables(start);
    const batch = makeBatch();
    await expectNoLeak(() => pretrainGradients(params, clipConfig, batch, createRng(2), { imageEncoder: counted }));
    expect(encodings).toBe(2); // whole and masked; the target is the tokens of the whole
    const out = pretrainGradients(params, clipConfig, batch, createRng(2), { imageEncoder });
    expect(params.reconstruction.position.weight.shape).toEqual([5, 8]); // 2 x 2 patches and the class token
    expect(Object.keys(out.grads)).toEqual(flattenParams(params).map(({ path }) => path));
    for (const [path, grad] of Object.entries(out.grads)) {
      expect(Math.max(...(await grad.data()).map(Math.abs)), path).toBeGreaterThan(1e-9);
    }
    tf.dispose([out.loss, out.contrastive, out.masked, ...Object.values(out.grads), batch.images]);
    for (const tree of [params, start, clipParams]) disposeParams(tree);
  });

  it('rebuilds the class token where anything is hidden, and the patches that are', async () => {
    // The guess is 0 everywhere, so the error is the mean square of the tokens that count: each token holds its number.
    const clipConfig: PretrainConfig = {
      ...config,
      image: null,
      target: 'features',
      tokens: { ...config.tokens, classToken: true },
      maskProbability: 1,
    };
    const start = initPretrainWith(clipConfig, {}, createRng(1));
    const params = {
      ...start,
      reconstruction: mapParams(start.reconstruction, (t) => tf.zerosLike(t)),
    };
    const numbered: ImageEncoder = (images) => {
      const B = images.shape[0];
      const tokens = tf.mul(tf.reshape(tf.tensor1d([1, 2, 4, 8, 16]), [1, 5, 1]), tf.ones([B, 5, 8])) as tf.Tensor3D;
      return { local: tokens, global: tf.ones([B, 6]) };
    };
    const batch = makeBatch();
    const masked = async (boxes: PretrainBatch['boxes']): Promise<number> => {
      const out = pretrainLoss(params, clipConfig, { ...batch, boxes }, createRng(1), { imageEncoder: numbered });
      const result = await value(out.masked);
      tf.dispose([out.loss, out.contrastive, out.masked]);
      return result;
    };
    const none = [null, null];
    expect(await masked([none, none, none])).toBe(0);
    // The lower left patch of the first image: class token 1 and patch number 8, over two tokens.
    expect(await masked([[[0, 0.6, 0.2, 0.9], null], none, none])).toBeCloseTo((1 + 64) / 2, 4);
    // And all of the third image.
    const all = 1 + 4 + 16 + 64 + 256;
    expect(await masked([[[0, 0.6, 0.2, 0.9], null], none, [[0, 0, 1, 1], null]])).toBeCloseTo((1 + 64 + all) / 7, 4);
    batch.images.dispose();
    disposeParams(params.reconstruction);
    disposeParams(start);
  });

  it('refuses an image encoder of other widths than the config says', async () => {
    const { clipParams, clipConfig, imageEncoder } = tinyClip('patches');
    const params = initPretrainWith(clipConfig, {}, createRng(1));
    const batch = makeBatch();
    const loss = (wrong: Partial<PretrainConfig>) => () =>
      pretrainLoss(params, { ...clipConfig, ...wrong }, batch, createRng(1), { imageEncoder });
    await expectNoLeak(loss({}), {
      throws: 'pretrainLoss: expected image local tokens of shape [3, 5, 8], received [3, 4, 8].',
    });
    await expectNoLeak(loss({ encoder: { ...config.encoder, globalWidth: 7 } }), {
      throws: 'pretrainLoss: expected image global vectors of shape [3, 7], received [3, 6].',
    });
    batch.images.dispose();
    for (const tree of [params, clipParams]) disposeParams(tree);
  });

  it('makes a hard negative cost something', async () => {
    const params = initPretrain(config, createRng(1));
    const batch = makeBatch();
    const plain = pretrainLoss(params, config, batch, createRng(1));
    const hard = pretrainLoss(params, { ...config, hardNegatives: true }, batch, createRng(1));
    expect(await value(hard.contrastive)).toBeGreaterThan(await value(plain.contrastive));
    expect(await value(hard.masked)).toBe(await value(plain.masked));
    for (const out of [plain, hard]) tf.dispose([out.loss, out.contrastive, out.masked]);
    batch.images.dispose();
    disposeParams(params);
  });

  it('leaves no tensor behind, on success and on failure, and names what is wrong with a batch', async () => {
    const params = initPretrain(config, createRng(1));
    const batch = makeBatch();
    const short = { ...batch, boxes: batch.boxes.slice(1) };
    await expectNoLeak(() => pretrainLoss(params, config, batch, createRng(1)));
    await expectNoLeak(() => pretrainLoss(params, config, short, createRng(1)), {
      throws: 'pretrainLoss: expected as many images and lists of boxes as graphs, 3, received 3 images and 2 lists.',
    });
    await expectNoLeak(
      () => pretrainLoss(params, { ...config, encoder: { ...config.encoder, maxTriples: 1 } }, batch, createRng(1)),
      {
        throws:
          'encodeSceneGraphs: graph 0 has 3 triples (its __in_image__ triples included), but the encoder takes 1.',
      },
    );
    expect(() => pretrainLoss(params, config, short, createRng(1))).toThrow(PretrainError);
    expect(() => pretrainLoss(params, { ...config, image: null }, batch, createRng(1))).toThrow(
      'pretrainLoss: config.image is null, so options.imageEncoder is needed. Pass the image encoder to train against.',
    );
    batch.images.dispose();
    disposeParams(params);
  });
});

describe('initPretrain', () => {
  beforeAll(() => setupBackend('cpu'));

  it.each<[string, PretrainConfig, string]>([
    [
      'no image encoder',
      { ...config, image: null },
      'initPretrain: config.image is null, so there is no image encoder to make. ' +
        'Use initPretrainWith(config, weights, rng) for an image encoder of your own.',
    ],
    [
      'a grid that does not divide the image',
      { ...config, tokens: { ...config.tokens, rows: 3 } },
      'initPretrain: expected a token grid that divides 16 px evenly, received 3 x 2.',
    ],
    [
      'two widths',
      { ...config, encoder: { ...config.encoder, globalWidth: 7 } },
      'initPretrain: expected graph and image encoder to share one globalWidth, received 7 and 6.',
    ],
    [
      'pixels as the target of a token that has none',
      { ...config, tokens: { ...config.tokens, classToken: true } },
      'initPretrain: expected config.target "features" with a class token, which has no pixels, received "pixels". ' +
        'Use local tokens without it, or the target "features".',
    ],
    [
      'an empty masked share',
      { ...config, maskedShare: 0 },
      'initPretrain: expected config.maskedShare in (0, 1], received 0. To switch the masked loss off, set maskedWeight 0.',
    ],
  ])('refuses %s', (_, wrong, message) => {
    expect(() => initPretrain(wrong, createRng(1))).toThrow(message);
  });

  it('makes the picture-book size of 1.28 million weights', () => {
    const made = initPretrain(pictureBookPretrainConfig({ objectCount: 36, predicateCount: 14 }), createRng(1));
    const count = flattenParams(made).reduce((sum, { tensor }) => sum + tensor.size, 0);
    expect(count).toBe(1_281_009);
    disposeParams(made);
  });
});

describe('the published pre-training', () => {
  beforeAll(() => setupBackend('cpu'));

  it('has the published sizes: 50 tokens, a block of 11,023,104 weights, an encoder of 13,241,856', () => {
    const published = publishedPretrainConfig({ objectCount: 179, predicateCount: 46 });
    const params = initPretrainWith(published, {}, zeroRng);
    expect(countParams(params.reconstruction.block)).toBe(11_023_104);
    expect(params.reconstruction.position.weight.shape).toEqual([50, 768]);
    // Ours besides: the mark of hidden tokens, the positions, the layer behind the block.
    expect(countParams(params.reconstruction)).toBe(11_023_104 + 768 + 50 * 768 + 768 * 768 + 768);
    expect(countParams(params.encoder) + params.logitScale.size).toBe(13_241_857);
    disposeParams(params);
  });
});

/** Leaves arrays at zero, which is quicker. */
const zeroRng: Rng = { ...createRng(), fork: () => zeroRng, fillNormal: (out) => out, fillUniform: (out) => out };

describe('training on wasm', () => {
  beforeAll(() => setupBackend('wasm'));

  it('overfits one batch within 30 steps: both parts fall, and no tensor is left behind', async () => {
    const start = initPretrain(config, createRng(1));
    const params = toVariables(start);
    const batch = makeBatch();
    const optimizer = createAdamW(params, { learningRate: 1e-2, decayFilter: pretrainDecayFilter });
    const step = async (): Promise<number[]> => {
      const out = pretrainGradients(params, config, batch, createRng('fixed'));
      optimizer.step(out.grads);
      const parts = [(await out.contrastive.data())[0]!, (await out.masked.data())[0]!];
      tf.dispose([out.loss, out.contrastive, out.masked, ...Object.values(out.grads)]);
      return parts;
    };
    const before = await step();
    const tensors = tf.memory().numTensors;
    for (let i = 0; i < 29; i++) await step();
    expect(tf.memory().numTensors).toBe(tensors);
    const after = await step();
    expect(after[0]!).toBeLessThan(0.3 * before[0]!);
    expect(after[1]!).toBeLessThan(0.5 * before[1]!);
    optimizer.dispose();
    batch.images.dispose();
    disposeParams(params);
    disposeParams(start);
  });
});
