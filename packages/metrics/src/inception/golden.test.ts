import * as tf from '@tensorflow/tfjs-core';
import { disposeParams } from '@sgdiff/nn';
import {
  backendProblem,
  expectNoLeak,
  readGolden,
  seededUniform,
  seededWeights,
  setupBackend,
  type TestBackend,
} from '@sgdiff/test-kit';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inceptionBlock, type BlockWeights } from './block';
import { foldInception, foldNorm, type InceptionNetwork } from './fold';
import { inceptionFeatures, inceptionInput } from './inception';
import type { ConvNormParams, InceptionParams } from './params';
import { BLOCKS, mapLayers, type LayerPlan } from './plan';
import { resizeForInception } from './resize';
import { inceptionTensors } from './tensors';
import { inceptionTrunk } from './trunk';

type Shape4D = [number, number, number, number];
type Kept = { readonly every: number; readonly values: number[] };
type Golden = {
  readonly network: {
    readonly images: { readonly fine: Shape4D; readonly coarse: Shape4D };
    readonly features: Record<'64' | '192' | '768' | '2048' | 'logits' | 'logits_unbiased', Kept & { largest: number }>;
  };
  readonly blocks: Record<string, Kept & { input: Shape4D; output: Shape4D; largest: number }>;
  readonly resizes: Record<string, Kept & { input: Shape4D }>;
};

const golden = readGolden<Golden>(import.meta.url, '../../fixtures/inception.golden.json');
/** Of the largest absolute value. The wasm and cpu figures leave room for other orders of summation in float32. */
const ACCURACY: Readonly<Record<TestBackend, number>> = { cpu: 1e-4, wasm: 1e-4, webgpu: 1e-3 };

const problem = await backendProblem('webgpu');
const backends: TestBackend[] = problem ? ['cpu', 'wasm'] : ['cpu', 'wasm', 'webgpu'];
if (problem) it.skip(`the Inception network on webgpu (${problem})`);

describe.each(backends)('against torch-fidelity with the same weights, on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it.each(Object.entries(golden.blocks))('computes the block %s', async (name, expected) => {
    const plan = BLOCKS.find((block) => block.name === name)!;
    const weights = seededBlock(name);
    const x = tf.tensor4d(numbers(name, expected.input), expected.input);
    const y = inceptionBlock(plan, weights, x);
    expect(y.shape).toEqual(expected.output);
    expect(await keptOf(y, expected.every)).toBeAllClose(expected.values, {
      rtol: 0,
      atol: ACCURACY[backend] * expected.largest,
    });
    disposeParams(weights);
    tf.dispose([x, y]);
  });

  it.each(Object.entries(golden.resizes))('resizes pictures (%s) as TensorFlow 1', async (name, expected) => {
    const images = tf.tensor4d(bytes(name, expected.input), expected.input, 'int32');
    const resized = resizeForInception(images);
    expect(resized.shape).toEqual([expected.input[0], 299, 299, 3]);
    // Values are kept with 7 digits. On cpu positions are float64, there float32: up to pixel 512 they are off by 3e-5, times 255.
    const atol = backend === 'cpu' ? 8e-3 : 2e-4;
    expect(await keptOf(resized, expected.every)).toBeAllClose(expected.values, { rtol: 0, atol });
    tf.dispose([images, resized]);
  });
});

describe('the whole network on wasm', () => {
  let network: InceptionNetwork;
  let images: tf.Tensor4D;

  beforeAll(async () => {
    await setupBackend('wasm');
    const params = seededParams();
    network = foldInception(params);
    disposeParams(params);
    images = goldenImages();
  });
  afterAll(() => {
    disposeParams(network);
    images.dispose();
  });

  it('gives the features, logits and activations on the way of torch-fidelity', async () => {
    const { pool, logits, logitsUnbiased } = inceptionFeatures(network, images, { range: 'bytes' });
    const taps: Record<string, tf.Tensor> = { '2048': pool, logits, logits_unbiased: logitsUnbiased };
    const x = inceptionInput(images, { range: 'bytes' });
    inceptionTrunk(network, x, (tap, activations) => (taps[tap] = tf.mean(activations, [1, 2]))).dispose();
    expect(Object.keys(taps).sort()).toEqual(Object.keys(golden.network.features).sort());
    for (const [name, { every, values, largest }] of Object.entries(golden.network.features)) {
      expect(await keptOf(taps[name], every), name).toBeAllClose(values, { rtol: 0, atol: ACCURACY.wasm * largest });
    }
    tf.dispose([x, taps]);
  });

  it('takes the same pictures in [-1, 1], and in any order', async () => {
    const signed = tf.tidy(() => tf.reverse(tf.sub<tf.Tensor4D>(tf.div(tf.cast(images, 'float32'), 127.5), 1), 0));
    const features = inceptionFeatures(network, signed);
    const { every, values, largest } = golden.network.features['2048'];
    const turned = tf.reverse(features.pool, 0);
    expect(await keptOf(turned, every)).toBeAllClose(values, { rtol: 0, atol: ACCURACY.wasm * largest });
    tf.dispose([signed, turned, { ...features }]);
  });

  it('leaves nothing behind', async () => {
    const one = tf.slice(images, [0, 0, 0, 0], [1, 8, 8, 3]);
    await expectNoLeak(() => inceptionFeatures(network, one, { range: 'bytes' }));
    const grey = tf.zeros<tf.Rank.R4>([1, 8, 8, 1]);
    await expectNoLeak(() => inceptionFeatures(network, grey), {
      throws: 'inceptionFeatures: expected images of shape [B, H, W, 3], received [1, 8, 8, 1].',
    });
    await expectNoLeak(() => inceptionFeatures(network, images), {
      throws:
        "inceptionFeatures: expected float32 images in [-1, 1], received int32. Pass { range: 'bytes' } for bytes.",
    });
    const tiny = tf.zeros<tf.Rank.R4>([1, 40, 40, 3]); // grows too small on the way
    await expectNoLeak(() => inceptionTrunk(network, tiny), { throws: /conv2d: expected x of at least|maxPool|pool/i });
    tf.dispose([one, grey, tiny]);
  });
});

describe('properties on wasm', () => {
  beforeAll(() => setupBackend('wasm'));

  it('treats each picture of a batch on its own', async () => {
    const plan = BLOCKS.find(({ name }) => name === 'mixed5b')!;
    const weights = seededBlock('mixed5b');
    const scale = golden.blocks.mixed5b.largest;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }).chain((B) => fc.shuffledSubarray([...Array(B).keys()], { minLength: B })),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        async (order, H, W) => {
          const shape: Shape4D = [order.length, H, W, 192];
          const [before, after] = tf.tidy(() => {
            const x = tf.tensor4d(numbers(`order ${H} ${W}`, shape), shape);
            const picked = tf.gather(inceptionBlock(plan, weights, x), order);
            return [picked, inceptionBlock(plan, weights, tf.gather(x, order))];
          });
          expect(after).toBeAllClose(before, { rtol: 0, atol: 1e-6 * scale });
          tf.dispose([before, after]);
        },
      ),
      { numRuns: 15 },
    );
    disposeParams(weights);
  });

  it('resizes a plane to the same plane, up to where its last pixel repeats', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 400 }), fc.integer({ min: 2, max: 400 }), async (H, W) => {
        const plane = tf.tidy(() => {
          const rows = tf.reshape(tf.range(0, H), [1, H, 1, 1]);
          const columns = tf.reshape(tf.range(0, W), [1, 1, W, 1]);
          return tf.tile(tf.add(rows, tf.mul(columns, 2)), [1, 1, 1, 3]) as tf.Tensor4D;
        });
        const resized = resizeForInception(plane);
        const expected = new Float32Array(299 * 299 * 3);
        for (let i = 0; i < expected.length; i++) {
          const row = Math.min((Math.floor(i / 897) * H) / 299, H - 1);
          const column = Math.min(((Math.floor(i / 3) % 299) * W) / 299, W - 1);
          expected[i] = row + 2 * column;
        }
        expect(await resized.data()).toBeAllClose(expected, { rtol: 1e-6, atol: 1e-3 });
        tf.dispose([plane, resized]);
      }),
      { numRuns: 10 },
    );
  });
});

/** The weights of tools/golden/inception.py: convolutions with half the fan-in, since ReLUs halve the variance. */
function seededParams(): InceptionParams {
  const shapes = new Map(inceptionTensors().map(({ path, shape }) => [path, shape]));
  const logits = (name: string) => seededTensor(`logits.${name}`, shapes.get(`logits.${name}`)!);
  return {
    ...mapLayers(seededLayer),
    logits: { weight: logits('weight') as tf.Tensor2D, bias: logits('bias') as tf.Tensor1D },
  };
}

function seededLayer({ path, kernel, inChannels, outChannels }: LayerPlan): ConvNormParams {
  const norm = (name: string) => seededTensor(`${path}.norm.${name}`, [outChannels]) as tf.Tensor1D;
  const fanIn = (kernel[0] * kernel[1] * inChannels) / 2;
  return {
    conv: {
      weight: seededTensor(`${path}.conv.weight`, [...kernel, inChannels, outChannels], fanIn) as tf.Tensor4D,
    },
    norm: { weight: norm('weight'), bias: norm('bias'), mean: norm('mean'), variance: norm('variance') },
  };
}

function seededTensor(path: string, shape: readonly number[], fanIn?: number): tf.Tensor {
  const [[, values]] = [...seededWeights([{ path, shape, fanIn }])];
  return tf.tensor(values, [...shape]);
}

/** Folded weights of one block, without the others. */
function seededBlock(name: string): BlockWeights {
  const made = mapLayers((layer) =>
    layer.path.startsWith(`blocks.${name}.`) ? tf.tidy(() => foldNorm(seededLayer(layer))) : undefined,
  );
  return made.blocks[name] as BlockWeights;
}

/** Uniform in [-1, 1]. */
function numbers(name: string, shape: readonly number[]): Float32Array {
  return seededUniform(
    `inception ${name}`,
    shape.reduce((a, b) => a * b, 1),
    1,
  );
}

function bytes(name: string, shape: readonly number[]): Int32Array {
  return Int32Array.from(numbers(name, shape), (u) => Math.floor((u + 1) * 127.999));
}

function goldenImages(): tf.Tensor4D {
  const { fine, coarse } = golden.network.images;
  return tf.tidy(() => {
    const large = tf.reshape(tf.tensor4d(bytes('coarse', coarse), coarse, 'int32'), [3, 1, 5, 1, 3]);
    const pixels = tf.reshape(tf.tile(large, [1, 8, 1, 8, 1]), fine); // each 8 x 8 times
    return tf.concat([tf.tensor4d(bytes('fine', fine), fine, 'int32'), pixels as tf.Tensor4D]);
  });
}

/** Every n-th value. */
async function keptOf(y: tf.Tensor, every: number): Promise<number[]> {
  return [...(await y.data())].filter((_, i) => i % every === 0);
}
