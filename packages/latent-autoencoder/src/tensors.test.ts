import { countParams, createRng, disposeParams, flattenParams, shapeInLayout } from '@sgdiff/nn';
import { setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { initAutoencoder } from './autoencoder';
import { pictureBookAutoencoderConfig, publishedVqF8Config, type AutoencoderConfig } from './config';
import { autoencoderFlops } from './flops';
import { autoencoderParameterCount, autoencoderTensors, publishedName } from './tensors';

const tiny: AutoencoderConfig = {
  imageChannels: 3,
  stem: 1,
  baseChannels: 4,
  channelMults: [1, 2],
  numResBlocks: 2,
  attentionLevels: [0],
  zChannels: 3,
  embedDim: 2,
  codebookSize: 5,
  groups: 2,
};

beforeAll(() => setupBackend('cpu'));

/** The released tensors in PyTorch's layout, level by level as the facts of the published system list them. */
function releasedTensors(): Record<string, number[]> {
  const affine = (name: string, ...weight: number[]): [string, number[]][] => [
    [`${name}.weight`, weight],
    [`${name}.bias`, weight.slice(0, 1)],
  ];
  const res = (name: string, i: number, o: number): [string, number[]][] => [
    ...affine(`${name}.norm1`, i),
    ...affine(`${name}.conv1`, o, i, 3, 3),
    ...affine(`${name}.norm2`, o),
    ...affine(`${name}.conv2`, o, o, 3, 3),
    ...(i === o ? [] : affine(`${name}.nin_shortcut`, o, i, 1, 1)),
  ];
  const attention = (name: string): [string, number[]][] => [
    ...affine(`${name}.norm`, 512),
    ...['q', 'k', 'v', 'proj_out'].flatMap((part) => affine(`${name}.${part}`, 512, 512, 1, 1)),
  ];
  const middle = (half: string): [string, number[]][] => [
    ...res(`${half}.mid.block_1`, 512, 512),
    ...attention(`${half}.mid.attn_1`),
    ...res(`${half}.mid.block_2`, 512, 512),
  ];
  return Object.fromEntries([
    ...affine('encoder.conv_in', 128, 3, 3, 3),
    ...res('encoder.down.0.block.0', 128, 128),
    ...res('encoder.down.0.block.1', 128, 128),
    ...affine('encoder.down.0.downsample.conv', 128, 128, 3, 3),
    ...res('encoder.down.1.block.0', 128, 256),
    ...res('encoder.down.1.block.1', 256, 256),
    ...affine('encoder.down.1.downsample.conv', 256, 256, 3, 3),
    ...res('encoder.down.2.block.0', 256, 256),
    ...res('encoder.down.2.block.1', 256, 256),
    ...affine('encoder.down.2.downsample.conv', 256, 256, 3, 3),
    ...res('encoder.down.3.block.0', 256, 512),
    ...res('encoder.down.3.block.1', 512, 512),
    ...attention('encoder.down.3.attn.0'),
    ...attention('encoder.down.3.attn.1'),
    ...middle('encoder'),
    ...affine('encoder.norm_out', 512),
    ...affine('encoder.conv_out', 4, 512, 3, 3),
    ...affine('quant_conv', 4, 4, 1, 1),
    ...affine('post_quant_conv', 4, 4, 1, 1),
    ['quantize.embedding.weight', [16384, 4]],
    ...affine('decoder.conv_in', 512, 4, 3, 3),
    ...middle('decoder'),
    ...[0, 1, 2].flatMap((i) => [...res(`decoder.up.3.block.${i}`, 512, 512), ...attention(`decoder.up.3.attn.${i}`)]),
    ...affine('decoder.up.3.upsample.conv', 512, 512, 3, 3),
    ...res('decoder.up.2.block.0', 512, 256),
    ...res('decoder.up.2.block.1', 256, 256),
    ...res('decoder.up.2.block.2', 256, 256),
    ...affine('decoder.up.2.upsample.conv', 256, 256, 3, 3),
    ...[0, 1, 2].flatMap((i) => res(`decoder.up.1.block.${i}`, 256, 256)),
    ...affine('decoder.up.1.upsample.conv', 256, 256, 3, 3),
    ...res('decoder.up.0.block.0', 256, 128),
    ...res('decoder.up.0.block.1', 128, 128),
    ...res('decoder.up.0.block.2', 128, 128),
    ...affine('decoder.norm_out', 128),
    ...affine('decoder.conv_out', 3, 128, 3, 3),
  ]);
}

describe('the published vq-f8', () => {
  const entries = autoencoderTensors(publishedVqF8Config);
  const count = (prefix: RegExp): number =>
    entries
      .filter(({ path }) => prefix.test(path))
      .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

  it('has 299 tensors: 126 in the encoder, 168 in the decoder, 5 between', () => {
    expect(entries).toHaveLength(299);
    expect(entries.filter(({ path }) => path.startsWith('encoder.'))).toHaveLength(126);
    expect(entries.filter(({ path }) => path.startsWith('decoder.'))).toHaveLength(168);
  });

  it('has 67,717,295 parameters', () => {
    expect(count(/^encoder\./)).toBe(27_397_764);
    expect(count(/^decoder\./)).toBe(40_253_955);
    expect(autoencoderParameterCount(publishedVqF8Config)).toBe(67_717_295);
  });

  it('bears the released names with the released shapes, one for one', () => {
    const ours = entries.map(({ path, shape }) => [
      publishedName(path),
      shapeInLayout(shape, shape.length === 4 ? 'conv' : 'same'),
    ]);
    const released = releasedTensors();
    expect(Object.keys(released)).toHaveLength(299);
    expect(Object.fromEntries(ours)).toEqual(released);
    expect(new Set(ours.map(([name]) => name)).size).toBe(299);
  });
});

describe('autoencoderTensors', () => {
  it.each<[string, AutoencoderConfig]>([
    ['tiny', tiny],
    ['a patch stem and no middle', { ...tiny, stem: 2, middle: 'none', decoderResBlocks: 1 }],
    ['two codes per position', { ...tiny, embedDim: 4, codeGroups: 2 }],
    ['a middle without attention', { ...tiny, attentionLevels: [], middle: 'blocks' }],
    ['picture-book', pictureBookAutoencoderConfig],
  ])('lists exactly what initAutoencoder makes: %s', (_, config) => {
    const params = initAutoencoder(config, createRng(1));
    const made = flattenParams(params).map(({ path, tensor }) => ({ path, shape: tensor.shape }));
    expect(made).toEqual(autoencoderTensors(config));
    expect(autoencoderParameterCount(config)).toBe(countParams(params));
    disposeParams(params);
  });
});

describe('autoencoderFlops', () => {
  it('counts two operations per weight and output position', () => {
    const config: AutoencoderConfig = {
      ...tiny,
      channelMults: [1],
      numResBlocks: 1,
      decoderResBlocks: 1,
      attentionLevels: [],
      middle: 'none',
    };
    // 4×4 pixels: conv 3→4, one residual block 4→4, conv 4→3, 1×1 conv 3→2.
    const res = 2 * 9 * 4 * 4;
    expect(autoencoderFlops(config, 4).encode).toBe(2 * 16 * (9 * 3 * 4 + res + 9 * 4 * 3 + 3 * 2));
    // The search among 5 codes, 1×1 conv 2→3, conv 3→4, block, conv 4→3.
    expect(autoencoderFlops(config, 4).decode).toBe(2 * 16 * (5 * 2 + 2 * 3 + 9 * 3 * 4 + res + 9 * 4 * 3));
  });

  it('counts attention over all pairs of positions', () => {
    const without = { ...tiny, channelMults: [1], attentionLevels: [], middle: 'blocks' } as const;
    const extra = autoencoderFlops({ ...without, middle: 'attention' }, 4).encode - autoencoderFlops(without, 4).encode;
    expect(extra).toBe(2 * 16 * 4 * 4 * 4 + 2 * 2 * 16 * 16 * 4);
  });
});
