import { createRng, disposeParams, flattenParams, shapeInLayout, treeFromPaths } from '@sgdiff/nn';
import { expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, expect, it } from 'vitest';
import { foldInception } from './fold';
import { initInception, type InceptionParams } from './params';
import { inceptionSource, inceptionTensors, isInceptionExtra } from './tensors';

type Golden = { readonly published: Readonly<Record<string, number[]>> };
const { published } = readGolden<Golden>(import.meta.url, '../../fixtures/inception.golden.json');

beforeAll(() => setupBackend('wasm'));

it('lists the weights of initInception, in its order', () => {
  const params = initInception(createRng('listed'));
  const entries = flattenParams(params).map(({ path, tensor }) => ({ path, shape: tensor.shape }));
  expect(inceptionTensors()).toEqual(entries);
  // As a loader builds it, from the paths alone.
  const rebuilt = treeFromPaths<InceptionParams>(new Map(flattenParams(params).map((e) => [e.path, e.tensor])));
  expect(rebuilt).toEqual(params);
  disposeParams(params);
});

it('finds each tensor of the published file once, in its shape, and nothing else but extras', () => {
  const sources = inceptionTensors().map(({ path, shape }) => {
    const { name, layout, ...rest } = inceptionSource(path);
    expect(rest).toEqual({});
    return [name, shapeInLayout(shape, layout)] as const;
  });
  expect(sources).toHaveLength(94 * 5 + 2);
  const wanted = Object.entries(published).filter(([name]) => !isInceptionExtra(name));
  expect([...sources].sort()).toEqual([...wanted].sort());
  expect(Object.keys(published)).toHaveLength(94 * 6 + 2);
  expect(['AuxLogits.fc.weight', 'fc.weight', 'Conv2d_1a_3x3.bn.num_batches_tracked'].map(isInceptionExtra)).toEqual([
    true,
    false,
    true,
  ]);
});

it('says what a path is not', () => {
  expect(() => inceptionSource('stem.conv9z.conv.weight')).toThrow(
    'inceptionSource: expected the path of a weight as in inceptionTensors(), received "stem.conv9z.conv.weight".',
  );
});

it('makes the same weights of the same seed, others for each layer, and leaves nothing behind', async () => {
  const someOf = ({ stem, blocks }: InceptionParams) =>
    [stem['conv2a'], blocks['mixed7c']['branchPool'][0], blocks['mixed7c']['branch1x1'][0]].map(({ conv }) =>
      conv.weight.dataSync().slice(0, 5).join(),
    );
  const params = initInception(createRng(1));
  const some = someOf(params);
  expect(new Set(some).size).toBe(some.length);
  disposeParams(params);
  await expectNoLeak(() => {
    const again = initInception(createRng(1));
    const network = foldInception(again);
    expect(someOf(again)).toEqual(some);
    disposeParams(again);
    return network;
  });
});
