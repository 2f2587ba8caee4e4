import { countParams, createRng, disposeParams, flattenParams } from '@sgdiff/nn';
import { setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { pictureBookUnetConfig, publishedUnetConfig, type UnetConfig } from './config';
import { unetFlops } from './flops';
import { publishedName, unetParameterCount, unetTensors } from './tensors';
import { initUnet } from './unet';

const tiny: UnetConfig = {
  inChannels: 2,
  outChannels: 3,
  modelChannels: 4,
  channelMults: [1, 2],
  numResBlocks: 1,
  attentionFactors: [2],
  headChannels: 4,
  transformerDepth: 2,
  contextWidth: 5,
  localWidth: 6,
  globalWidth: 5,
  globalInTime: false,
  maskPadding: true,
  groups: 2,
};

beforeAll(() => setupBackend('cpu'));

describe('the published network', () => {
  const entries = unetTensors(publishedUnetConfig);
  const count = (prefix: string): number =>
    entries
      .filter(({ path }) => path.startsWith(prefix))
      .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

  it('has 628 tensors', () => expect(entries).toHaveLength(628));

  it('has 395,771,140 parameters, in the published parts', () => {
    expect(unetParameterCount(publishedUnetConfig)).toBe(395_771_140);
    expect(count('timeEmbed.')).toBe(1_312_768);
    expect(count('condition.')).toBe(786_944);
    expect(count('inputBlocks.')).toBe(109_752_320);
    expect(count('middleBlock.')).toBe(61_901_824);
    expect(count('outputBlocks.')).toBe(222_007_552);
    expect(count('out.')).toBe(9_732);
    expect(count('inputBlocks.7.')).toBe(37_777_408);
    expect(count('outputBlocks.5.')).toBe(14_958_080);
  });

  it('bears the published names, one for one', () => {
    const names = entries.map(({ path }) => publishedName(path, publishedUnetConfig));
    expect(new Set(names).size).toBe(628);
    // Every form of name of reference/sgdiff.md §5.3.
    const known =
      /^(time_embed\.[02]\.(weight|bias)|context_local_mlp\.0\.(weight|bias)|input_blocks\.0\.0\.(weight|bias)|input_blocks\.[36]\.0\.op\.(weight|bias)|output_blocks\.[25]\.2\.conv\.(weight|bias)|out\.[02]\.(weight|bias)|(input_blocks\.\d+\.0|middle_block\.[02]|output_blocks\.\d+\.0)\.(in_layers\.[02]|emb_layers\.1|out_layers\.[03]|skip_connection)\.(weight|bias)|(input_blocks\.\d+|middle_block|output_blocks\.\d+)\.1\.(norm\.(weight|bias)|proj_(in|out)\.(weight|bias)|transformer_blocks\.0\.(attn[12]\.to_[qkv]\.weight|attn[12]\.to_out\.0\.(weight|bias)|ff\.net\.(0\.proj|2)\.(weight|bias)|norm[123]\.(weight|bias))))$/;
    expect(names.filter((name) => name === undefined || !known.test(name))).toEqual([]);
  });

  it('names what the published net lacks as such, and moves the upsampling where there is no transformer', () => {
    const ours: UnetConfig = { ...tiny, attentionFactors: [], globalWidth: 7, globalInTime: true, nullToken: true };
    const extras = unetTensors(ours).filter(({ path }) => publishedName(path, ours) === undefined);
    expect(extras.map(({ path }) => path)).toEqual([
      'condition.global.weight',
      'condition.global.bias',
      'condition.globalTime.weight',
      'condition.globalTime.bias',
      'condition.nullToken',
    ]);
    expect(publishedName('outputBlocks.1.up.weight', ours)).toBe('output_blocks.1.1.conv.weight');
  });
});

describe('unetTensors', () => {
  it.each<[string, UnetConfig]>([
    ['tiny', tiny],
    ['no transformer but the middle', { ...tiny, attentionFactors: [] }],
    [
      'everything of ours',
      {
        ...tiny,
        attentionFactors: [1, 2],
        crossOnlyFactors: [1],
        globalWidth: 7,
        globalInTime: true,
        nullToken: true,
        contextNorm: true,
        feedForwardMult: 1,
      },
    ],
    ['three levels, two blocks', { ...tiny, channelMults: [1, 2, 3], numResBlocks: 2, attentionFactors: [1, 4] }],
    ['picture-book', pictureBookUnetConfig],
  ])('lists exactly what initUnet makes: %s', (_, config) => {
    const params = initUnet(config, createRng(1));
    const made = flattenParams(params).map(({ path, tensor }) => [path, tensor.shape]);
    expect(Object.fromEntries(made)).toEqual(
      Object.fromEntries(unetTensors(config).map(({ path, shape }) => [path, shape])),
    );
    expect(unetParameterCount(config)).toBe(countParams(params));
    disposeParams(params);
  });
});

describe('unetFlops', () => {
  const size = { height: 4, width: 4, triples: 3 };

  it('counts a one-level network by hand', () => {
    const config: UnetConfig = { ...tiny, channelMults: [1], attentionFactors: [], transformerDepth: 1 };
    const res = (inC: number): number => 2 * 16 * 9 * (inC * 4 + 16) + 2 * 16 * 4 + (inC === 4 ? 0 : 2 * 16 * inC * 4);
    const projections = 2 * 16 * (2 * 16 + 4 * 16); // in and out, self-attention's four
    const self = 2 * 2 * 16 * 16 * 4;
    const cross = 2 * 16 * 2 * 16 + 2 * 4 * 2 * 5 * 4 + 2 * 2 * 16 * 4 * 4; // q and out, k and v of 4 tokens, products
    const feedForward = 2 * 16 * (4 * 32 + 16 * 4);
    const ends = 2 * 16 * 9 * (2 * 4 + 4 * 3) + 2 * (4 * 16 + 16 * 16) + 2 * 3 * 6 * 5;
    expect(unetFlops(config, size)).toBe(3 * res(4) + 2 * res(8) + projections + self + cross + feedForward + ends);
  });

  it('leaves out self-attention where a level is cross-only', () => {
    const both = unetFlops({ ...tiny, attentionFactors: [1, 2] }, size);
    const cross = unetFlops({ ...tiny, attentionFactors: [1, 2], crossOnlyFactors: [1] }, size);
    // three transformers of two blocks: four projections and two products over 16 positions each
    expect(both - cross).toBe(3 * 2 * (2 * 16 * 4 * 16 + 4 * 16 * 16 * 4));
  });

  it('sees convolutions that change the sides at the side of their output', () => {
    const one = unetFlops(tiny, size);
    const larger = unetFlops(tiny, { height: 8, width: 8, triples: 3 });
    expect(larger / one).toBeGreaterThan(3.5);
  });

  it('of the small picture-book network stays below 0.45 GFLOP', () => {
    expect(unetFlops(pictureBookUnetConfig, { height: 16, width: 16, triples: 20 })).toBeLessThan(0.45e9);
  });
});
