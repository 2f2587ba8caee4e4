import { countParams, createRng, disposeParams, flattenParams } from '@sgdiff/nn';
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

  it('bears the published names, one for one', () => {
    const names = entries.map(({ path }) => publishedName(path));
    expect(new Set(names).size).toBe(299);
    for (const name of [
      'encoder.conv_in.weight',
      'encoder.down.1.block.0.nin_shortcut.bias',
      'encoder.down.0.downsample.conv.weight',
      'encoder.down.3.attn.1.proj_out.weight',
      'encoder.mid.block_1.norm1.weight',
      'encoder.norm_out.bias',
      'quant_conv.weight',
      'quantize.embedding.weight',
      'post_quant_conv.bias',
      'decoder.mid.attn_1.q.weight',
      'decoder.up.3.block.2.conv2.weight',
      'decoder.up.2.upsample.conv.weight',
      'decoder.conv_out.bias',
    ]) {
      expect(names).toContain(name);
    }
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
    const made = flattenParams(params).map(({ path, tensor }) => [path, tensor.shape]);
    expect(Object.fromEntries(made)).toEqual(
      Object.fromEntries(autoencoderTensors(config).map(({ path, shape }) => [path, shape])),
    );
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
