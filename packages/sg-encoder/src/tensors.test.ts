import { createRng, disposeParams, flattenParams } from '@sgdiff/nn';
import { setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  initSgEncoder,
  pictureBookEncoderConfig,
  publishedName,
  publishedSgEncoderConfig,
  sgEncoderParameterCount,
  sgEncoderTensors,
  type SgEncoderConfig,
} from './index';

const visualGenome = publishedSgEncoderConfig({ objectCount: 179, predicateCount: 46 });
const coco = publishedSgEncoderConfig({ objectCount: 184, predicateCount: 7 });
const small = {
  objectCount: 6,
  predicateCount: 4,
  width: 4,
  layers: 2,
  hiddenWidth: 5,
  globalWidth: 3,
  maxTriples: 12,
} satisfies SgEncoderConfig;

beforeAll(() => setupBackend('cpu'));

/** The released tensors in PyTorch's layout, linear layers [out, in], as the facts of the published system list them. */
function releasedTensors(objectRows: number, predicateRows: number): Record<string, number[]> {
  const layer = (name: string): [string, number[]][] => [
    [`${name}.net1.0.weight`, [512, 1536]],
    [`${name}.net1.0.bias`, [512]],
    [`${name}.net1.2.weight`, [1536, 512]],
    [`${name}.net1.2.bias`, [1536]],
    [`${name}.net2.0.weight`, [512, 512]],
    [`${name}.net2.0.bias`, [512]],
    [`${name}.net2.2.weight`, [512, 512]],
    [`${name}.net2.2.bias`, [512]],
  ];
  return Object.fromEntries([
    ['logit_scale', []],
    ['obj_embeddings.weight', [objectRows, 512]],
    ['pred_embeddings.weight', [predicateRows, 512]],
    ...layer('graph_conv'),
    ...['0', '1', '2', '3', '4'].flatMap((i) => layer(`graph_net.gconvs.${i}`)),
    ['graph_projection.weight', [512, 1024]],
    ['graph_projection.bias', [512]],
  ]);
}

describe('the published encoder', () => {
  it.each([
    ['Visual Genome', visualGenome, 13_241_857, releasedTensors(180, 46)],
    ['COCO', coco, 13_224_449, releasedTensors(185, 7)],
  ])('has the names, shapes and parameter count of the released files: %s', (_, config, count, released) => {
    const ours = sgEncoderTensors(config).map(({ path, shape }) => {
      const isLinear = shape.length === 2 && !path.includes('Embedding');
      return [publishedName(path), isLinear ? [...shape].reverse() : shape];
    });
    expect(ours).toHaveLength(53);
    expect(Object.fromEntries(ours)).toEqual(released);
    expect(sgEncoderParameterCount(config)).toBe(count);
  });

  it('starts with the logit scale of CLIP', () => {
    const params = initSgEncoder({ ...small, logitScale: true }, createRng(1));
    expect(params.logitScale).toBeAllClose([2.6592600369]); // ln(1 / 0.07)
    disposeParams(params);
  });

  it('lacks the normalisation of ours, which has no published name', () => {
    const ours = sgEncoderTensors(pictureBookEncoderConfig(small)).filter(
      ({ path }) => publishedName(path) === undefined,
    );
    expect(ours.map(({ path }) => path.replace(/\d/, 'N'))).toEqual(
      ['nodeNorms', 'predicateNorms'].flatMap((kind) =>
        Array(4)
          .fill([`${kind}.N.weight`, `${kind}.N.bias`])
          .flat(),
      ),
    );
  });

  it.each(['', 'layers.0', 'layers.0.triple.up.weights', 'xlogitScale', 'layers.0.triple.up.weight.v'])(
    'gives no name to what is no weight: "%s"',
    (path) => expect(publishedName(path)).toBeUndefined(),
  );
});

describe('sgEncoderTensors', () => {
  it.each<[string, SgEncoderConfig]>([
    ['published form', small],
    ['with the logit scale', { ...small, logitScale: true }],
    ['normalised residual form', { ...small, norm: 'layer', residual: true }],
    ['everything', { ...small, norm: 'layer', residual: true, logitScale: true }],
    ['picture-book', pictureBookEncoderConfig(small)],
  ])('lists what initSgEncoder makes, in its order: %s', (_, config) => {
    const params = initSgEncoder(config, createRng(1));
    const made = flattenParams(params).map(({ path, tensor }) => ({ path, shape: tensor.shape }));
    expect(made).toEqual(sgEncoderTensors(config));
    disposeParams(params);
  });

  it('tells all there is to the tree: it holds no empty list', () => {
    const params = initSgEncoder(small, createRng(1));
    expect(Object.keys(params)).toEqual(['objectEmbedding', 'predicateEmbedding', 'layers', 'projection']);
    disposeParams(params);
  });
});
