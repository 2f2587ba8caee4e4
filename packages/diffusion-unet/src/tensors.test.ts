import { countParams, createRng, disposeParams, flattenParams, shapeInLayout } from '@sgdiff/nn';
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

/** The released tensors in PyTorch's layout, block by block as the facts of the published system list them. */
function releasedTensors(): Record<string, number[]> {
  const affine = (name: string, ...weight: number[]): [string, number[]][] => [
    [`${name}.weight`, weight],
    [`${name}.bias`, weight.slice(0, 1)],
  ];
  const res = (name: string, i: number, o: number): [string, number[]][] => [
    ...affine(`${name}.in_layers.0`, i),
    ...affine(`${name}.in_layers.2`, o, i, 3, 3),
    ...affine(`${name}.emb_layers.1`, o, 1024),
    ...affine(`${name}.out_layers.0`, o),
    ...affine(`${name}.out_layers.3`, o, o, 3, 3),
    ...(i === o ? [] : affine(`${name}.skip_connection`, o, i, 1, 1)),
  ];
  const attention = (name: string, c: number, keys: number): [string, number[]][] => [
    [`${name}.to_q.weight`, [c, c]],
    [`${name}.to_k.weight`, [c, keys]],
    [`${name}.to_v.weight`, [c, keys]],
    ...affine(`${name}.to_out.0`, c, c),
  ];
  const transformer = (name: string, c: number): [string, number[]][] => [
    ...affine(`${name}.norm`, c),
    ...affine(`${name}.proj_in`, c, c, 1, 1),
    ...attention(`${name}.transformer_blocks.0.attn1`, c, c),
    ...attention(`${name}.transformer_blocks.0.attn2`, c, 512),
    ...affine(`${name}.transformer_blocks.0.ff.net.0.proj`, 8 * c, c),
    ...affine(`${name}.transformer_blocks.0.ff.net.2`, c, 4 * c),
    ...['norm1', 'norm2', 'norm3'].flatMap((norm) => affine(`${name}.transformer_blocks.0.${norm}`, c)),
    ...affine(`${name}.proj_out`, c, c, 1, 1),
  ];
  const both = (name: string, i: number, o: number): [string, number[]][] => [
    ...res(`${name}.0`, i, o),
    ...transformer(`${name}.1`, o),
  ];
  return Object.fromEntries([
    ...affine('time_embed.0', 1024, 256),
    ...affine('time_embed.2', 1024, 1024),
    ...affine('context_local_mlp.0', 512, 1536),
    ...affine('input_blocks.0.0', 256, 4, 3, 3),
    ...both('input_blocks.1', 256, 256),
    ...both('input_blocks.2', 256, 256),
    ...affine('input_blocks.3.0.op', 256, 256, 3, 3),
    ...both('input_blocks.4', 256, 512),
    ...both('input_blocks.5', 512, 512),
    ...affine('input_blocks.6.0.op', 512, 512, 3, 3),
    ...both('input_blocks.7', 512, 1024),
    ...both('input_blocks.8', 1024, 1024),
    ...both('middle_block', 1024, 1024),
    ...res('middle_block.2', 1024, 1024),
    ...both('output_blocks.0', 2048, 1024),
    ...both('output_blocks.1', 2048, 1024),
    ...both('output_blocks.2', 1536, 1024),
    ...affine('output_blocks.2.2.conv', 1024, 1024, 3, 3),
    ...both('output_blocks.3', 1536, 512),
    ...both('output_blocks.4', 1024, 512),
    ...both('output_blocks.5', 768, 512),
    ...affine('output_blocks.5.2.conv', 512, 512, 3, 3),
    ...both('output_blocks.6', 768, 256),
    ...both('output_blocks.7', 512, 256),
    ...both('output_blocks.8', 512, 256),
    ...affine('out.0', 256),
    ...affine('out.2', 4, 256, 3, 3),
  ]);
}

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

  it('bears the released names with the released shapes, one for one', () => {
    const ours = entries.map(({ path, shape }) => {
      const layout = shape.length === 4 ? 'conv' : shape.length === 2 ? 'linear' : 'same';
      return [publishedName(path, publishedUnetConfig), shapeInLayout(shape, layout)];
    });
    const released = releasedTensors();
    expect(Object.keys(released)).toHaveLength(628);
    expect(Object.fromEntries(ours)).toEqual(released);
    expect(new Set(ours.map(([name]) => name)).size).toBe(628);
  });

  it('has names that stay apart without their dots, as the moving averages are stored', () => {
    const names = entries.map(({ path }) => `diffusion_model.${publishedName(path, publishedUnetConfig)}`);
    const averaged = names.map((name) => name.replaceAll('.', ''));
    expect(new Set(averaged).size).toBe(628);
    expect(averaged).toContain('diffusion_modelinput_blocks10in_layers0weight');
    // `decay` and `num_updates` stand beside them.
    expect(averaged.filter((name) => !name.startsWith('diffusion_model'))).toEqual([]);
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
    const made = flattenParams(params).map(({ path, tensor }) => ({ path, shape: tensor.shape }));
    expect(made).toEqual(unetTensors(config));
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
