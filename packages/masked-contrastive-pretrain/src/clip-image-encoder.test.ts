import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import {
  createRng,
  disposeParams,
  flattenParams,
  openSafetensors,
  restoreParams,
  toVariables,
  valueAndGrads,
  type Rng,
} from '@sgdiff/nn';
import { backendProblem, expectNoLeak, readGolden, seededUniform, seededWeights, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  clipImageEncoder,
  clipTensors,
  clipTokens,
  clipVitB32Config,
  frozenImageEncoder,
  initClipImageEncoder,
  type ClipImageEncoderParams,
  type ClipVisionConfig,
} from './index';
import { readClip } from './testing/read-clip';

type Plain = { readonly shape: number[]; readonly data: number[] };
type Outputs = Record<'mlp' | 'patches' | 'global', Plain>;
type Golden = {
  readonly tiny: { config: ClipVisionConfig; outputs: Record<ClipVisionConfig['activation'], Outputs> };
  readonly full: { config: ClipVisionConfig; outputs: Record<keyof Outputs, Plain & { step: number }> };
};

const { tiny, full } = readGolden<Golden>(import.meta.url, '../fixtures/clip.golden.json');
const { config } = tiny;

/** Leaves arrays at zero: a template needs no random numbers. */
const zeroRng: Rng = { ...createRng(), fork: () => zeroRng, fillNormal: (out) => out, fillUniform: (out) => out };

/** The tree that `init` makes, of other numbers. */
function treeOf(
  sizes: ClipVisionConfig,
  weights: Iterable<readonly [string, { readonly shape: readonly number[]; readonly values: Float32Array }]>,
): ClipImageEncoderParams {
  return tf.tidy(() => {
    const byPath: Record<string, tf.Tensor> = {};
    for (const [path, { shape, values }] of weights) byPath[path] = tf.tensor(values, [...shape]);
    return restoreParams(initClipImageEncoder(sizes, zeroRng), byPath) as ClipImageEncoderParams & tf.TensorContainer;
  });
}

async function tinyParams(form: 'openai' | 'transformers'): Promise<ClipImageEncoderParams> {
  const bytes = readFileSync(new URL(`../fixtures/clip-tiny.${form}.safetensors`, import.meta.url));
  const source = {
    name: form,
    size: bytes.length,
    read: async (offset: number, length: number) => new Uint8Array(bytes.subarray(offset, offset + length)),
  };
  return treeOf(config, await readClip(await openSafetensors(source), config));
}

function seededImages(name: string, batch: number, size: number): tf.Tensor4D {
  return tf.tensor4d(seededUniform(name, batch * size * size * 3, 1), [batch, size, size, 3]);
}

/** Accuracy relative to the largest value. */
function within(share: number, expected: readonly number[]): { rtol: number; atol: number } {
  return { rtol: 0, atol: share * Math.max(...expected.map(Math.abs)) };
}

const webgpuProblem = await backendProblem('webgpu');

describe.each([
  ['cpu', 1e-4, undefined],
  ['wasm', 1e-4, undefined],
  ['webgpu', 1e-3, webgpuProblem],
] as const)('clipImageEncoder on %s', (backend, accuracy, problem) => {
  describe.skipIf(problem)(problem ?? 'against transformers', () => {
    beforeAll(() => setupBackend(backend));

    it.each(['openai', 'transformers'] as const)(
      'gives its features, with weights from a file as %s names it',
      async (form) => {
        const params = await tinyParams(form);
        const images = seededImages('clip tiny images', 2, config.imageSize);
        for (const activation of ['quick-gelu', 'gelu'] as const) {
          const expected = tiny.outputs[activation];
          for (const local of ['mlp', 'patches'] as const) {
            const out = clipImageEncoder(params, { ...config, activation }, images, { local });
            const [tokens, global] = [await out.local.data(), await out.global.data()];
            expect(out.local.shape).toEqual(expected[local].shape);
            expect(tokens).toBeAllClose(expected[local].data, within(accuracy, expected[local].data));
            expect(global).toBeAllClose(expected.global.data, within(accuracy, expected.global.data));
            tf.dispose([out.local, out.global]);
          }
        }
        images.dispose();
        disposeParams(params);
      },
    );

    it('leaves no tensor behind, on success and on failure', async () => {
      const params = initClipImageEncoder(config, createRng(1));
      const images = seededImages('images', 1, config.imageSize);
      const small = tf.zeros<tf.Rank.R4>([1, 14, 14, 3]);
      for (const local of ['mlp', 'patches'] as const) {
        await expectNoLeak(() => clipImageEncoder(params, config, images, { local }));
      }
      await expectNoLeak(() => clipImageEncoder(params, config, small, { local: 'mlp' }), {
        throws: 'clipImageEncoder: expected images of shape [1, 28, 28, 3], received [1, 14, 14, 3].',
      });
      await expectNoLeak(() =>
        frozenImageEncoder((x) => clipImageEncoder(params, config, x, { local: 'mlp' }))(images),
      );
      tf.dispose([images, small]);
      disposeParams(params);
    });
  });
});

describe('clipImageEncoder', () => {
  let params: ClipImageEncoderParams;
  beforeAll(async () => {
    await setupBackend('cpu');
    params = await tinyParams('transformers');
  });
  afterAll(() => disposeParams(params));

  it('sees each image by itself: another order of the batch is another order of the results', () => {
    const images = seededImages('order', 3, config.imageSize);
    const plain = clipImageEncoder(params, config, images, { local: 'patches' });
    const orders = fc.shuffledSubarray([0, 1, 2], { minLength: 1 });
    fc.assert(
      fc.property(orders, (order) =>
        tf.tidy(() => {
          const mixed = clipImageEncoder(params, config, tf.gather(images, order), { local: 'patches' });
          expect(mixed.local).toBeAllClose(tf.gather(plain.local, order), { rtol: 1e-5, atol: 1e-5 });
          expect(mixed.global).toBeAllClose(tf.gather(plain.global, order), { rtol: 1e-5, atol: 1e-5 });
        }),
      ),
      { numRuns: 6 },
    );
    tf.dispose([images, plain.local, plain.global]);
  });

  it("normalises with CLIP's mean: an image of that colour is the one that no patch weight sees", () => {
    tf.tidy(() => {
      const mean = tf.sub(tf.mul(2, tf.tensor1d([0.48145466, 0.4578275, 0.40821073])), 1);
      const encode = (weights: ClipImageEncoderParams, colour: tf.Tensor): tf.Tensor =>
        clipImageEncoder(weights, config, tf.mul(tf.ones([1, 28, 28, 3]), colour), { local: 'patches' }).local;
      const blind = { ...params, patch: { weight: tf.zerosLike(params.patch.weight) } };
      const unseen = encode(blind, tf.scalar(0));
      expect(encode(params, mean)).toBeAllClose(unseen, { rtol: 0, atol: 1e-5 });
      expect(tf.max(tf.abs(tf.sub(encode(params, tf.scalar(0)), unseen))).dataSync()[0]).toBeGreaterThan(1e-2);
    });
  });

  it('can be trained: every weight gets a gradient', () => {
    const variables = toVariables(params);
    const images = seededImages('gradient', 1, config.imageSize);
    const { value, grads } = valueAndGrads(() => {
      const { local, global } = clipImageEncoder(variables, config, images, { local: 'patches' });
      return tf.add(tf.mean(tf.square(local)), tf.mean(tf.square(global))) as tf.Scalar;
    }, variables);
    for (const [path, grad] of Object.entries(grads)) {
      const largest = Math.max(...grad.dataSync().map(Math.abs));
      // A bias of the keys moves all scores of a query alike.
      if (!path.endsWith('attention.k.bias')) expect(largest, path).toBeGreaterThan(1e-7);
    }
    expect(Object.keys(grads)).toEqual(flattenParams(params).map(({ path }) => path));
    tf.dispose([images, value, ...Object.values(grads)]);
    disposeParams(variables);
  });
});

describe('frozenImageEncoder', () => {
  beforeAll(() => setupBackend('cpu'));

  it('gives the same numbers, and no gradient', async () => {
    const params = initClipImageEncoder(config, createRng(1));
    const encode = (x: tf.Tensor4D) => clipImageEncoder(params, config, x, { local: 'mlp' });
    const images = seededImages('frozen', 2, config.imageSize);
    const factor = tf.variable(tf.scalar(1));
    const grad = tf.tidy(() => {
      const [plain, frozen] = [encode(images), frozenImageEncoder(encode)(images)];
      expect(frozen.local).toBeAllClose(plain.local, { rtol: 0, atol: 0 });
      expect(frozen.global).toBeAllClose(plain.global, { rtol: 0, atol: 0 });
      const loss = (): tf.Scalar => {
        const { local, global } = frozenImageEncoder(encode)(tf.mul(images, factor));
        return tf.add(tf.mul(factor, 3), tf.add(tf.sum(local), tf.sum(global))) as tf.Scalar;
      };
      return tf.variableGrads(loss, [factor]).grads[factor.name]!.dataSync()[0];
    });
    expect(grad).toBe(3);
    tf.dispose([images, factor]);
    disposeParams(params);
  });

  it('keeps nothing of the image encoder for the backward pass', () => {
    const params = initClipImageEncoder(config, createRng(1));
    const encode = (x: tf.Tensor4D) => clipImageEncoder(params, config, x, { local: 'mlp' });
    const images = seededImages('frozen', 2, config.imageSize);
    const factor = tf.variable(tf.scalar(1));
    const keptBy = (encoder: typeof encode): number => {
      let kept = 0;
      tf.tidy(() =>
        tf.variableGrads(() => {
          const before = tf.memory().numTensors;
          const { global } = encoder(tf.mul(images, factor));
          kept = tf.memory().numTensors - before;
          return tf.sum(tf.mul(global, factor));
        }, [factor]),
      );
      return kept;
    };
    expect(keptBy(frozenImageEncoder(encode))).toBeLessThan(12); // its results and the steps to them
    expect(keptBy(encode)).toBeGreaterThan(60);
    tf.dispose([images, factor]);
    disposeParams(params);
  });
});

describe('ViT-B/32 at full size, on wasm', () => {
  beforeAll(() => setupBackend('wasm'));

  it('gives the features of transformers', { timeout: 120_000 }, async () => {
    expect(full.config).toEqual(clipVitB32Config);
    const shapes = new Map(clipTensors(clipVitB32Config).map(({ path, shape }) => [path, shape]));
    const weights = function* (): Generator<[string, { shape: readonly number[]; values: Float32Array }]> {
      for (const [path, values] of seededWeights(clipTensors(clipVitB32Config)))
        yield [path, { shape: shapes.get(path)!, values }];
    };
    const params = treeOf(clipVitB32Config, weights());
    const images = seededImages('clip images', 1, 224);
    for (const local of ['mlp', 'patches'] as const) {
      const out = clipImageEncoder(params, clipVitB32Config, images, { local });
      const [tokens, global] = [await out.local.data(), await out.global.data()];
      tf.dispose([out.local, out.global]);
      const { shape, step, data } = full.outputs[local];
      expect([1, clipTokens(clipVitB32Config) - (local === 'mlp' ? 0 : 1), 768]).toEqual(shape);
      expect(tokens.filter((_, i) => i % step === 0)).toBeAllClose(data, within(1e-4, data));
      expect(global).toBeAllClose(full.outputs.global.data, within(1e-4, full.outputs.global.data));
    }
    images.dispose();
    disposeParams(params);
  });
});
