import type { TensorEntry } from '@sgdiff/nn';
import { checkConfig, codeWidth, decoderResBlocks, levelWidths, type AutoencoderConfig } from './config';

/**
 * Every weight of the autoencoder by path and shape, without making any of them: to check a file before reading it,
 * or to know a model's size.
 *
 * The order is the published state dict's; `publishedName` gives the names.
 *
 * @throws AutoencoderConfigError if the config describes no model.
 */
export function autoencoderTensors(config: AutoencoderConfig): TensorEntry[] {
  checkConfig(config);
  const widths = levelWidths(config);
  const coarsest = widths[widths.length - 1]!;
  const pixels = config.imageChannels * config.stem ** 2;
  const kind = config.middle ?? 'attention';
  const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

  const conv = (path: string, kernel: number, inC: number, outC: number): TensorEntry[] => [
    { path: `${path}.weight`, shape: [kernel, kernel, inC, outC] },
    { path: `${path}.bias`, shape: [outC] },
  ];
  const norm = (path: string, channels: number): TensorEntry[] => [
    { path: `${path}.weight`, shape: [channels] },
    { path: `${path}.bias`, shape: [channels] },
  ];
  const res = (path: string, inC: number, outC: number): TensorEntry[] => [
    ...norm(`${path}.norm1`, inC),
    ...conv(`${path}.conv1`, 3, inC, outC),
    ...norm(`${path}.norm2`, outC),
    ...conv(`${path}.conv2`, 3, outC, outC),
    ...(inC === outC ? [] : conv(`${path}.ninShortcut`, 1, inC, outC)),
  ];
  const attention = (path: string, channels: number): TensorEntry[] => [
    ...norm(`${path}.norm`, channels),
    ...['q', 'k', 'v', 'projOut'].flatMap((name) => conv(`${path}.${name}`, 1, channels, channels)),
  ];
  const level = (path: string, index: number, blocks: number, inC: number, outC: number): TensorEntry[] => [
    ...range(blocks).flatMap((i) => res(`${path}.block.${i}`, i === 0 ? inC : outC, outC)),
    ...(config.attentionLevels.includes(index)
      ? range(blocks).flatMap((i) => attention(`${path}.attn.${i}`, outC))
      : []),
  ];
  const mid = (path: string): TensorEntry[] => [
    ...(kind === 'none' ? [] : res(`${path}.block1`, coarsest, coarsest)),
    ...(kind === 'attention' ? attention(`${path}.attn1`, coarsest) : []),
    ...(kind === 'none' ? [] : res(`${path}.block2`, coarsest, coarsest)),
  ];

  return [
    ...conv('encoder.convIn', 3, pixels, config.baseChannels),
    ...widths.flatMap((width, i) => [
      ...level(`encoder.down.${i}`, i, config.numResBlocks, i === 0 ? config.baseChannels : widths[i - 1]!, width),
      ...(i < widths.length - 1 ? conv(`encoder.down.${i}.downsample.conv`, 3, width, width) : []),
    ]),
    ...mid('encoder.mid'),
    ...norm('encoder.normOut', coarsest),
    ...conv('encoder.convOut', 3, coarsest, config.zChannels),
    ...conv('quantConv', 1, config.zChannels, config.embedDim),
    { path: 'quantize.embedding.weight', shape: [config.codebookSize, codeWidth(config)] },
    ...conv('postQuantConv', 1, config.embedDim, config.zChannels),
    ...conv('decoder.convIn', 3, config.zChannels, coarsest),
    ...mid('decoder.mid'),
    ...widths.flatMap((width, i) => [
      ...level(`decoder.up.${i}`, i, decoderResBlocks(config), widths[i + 1] ?? coarsest, width),
      ...(i > 0 ? conv(`decoder.up.${i}.upsample.conv`, 3, width, width) : []),
    ]),
    ...norm('decoder.normOut', widths[0]!),
    ...conv('decoder.convOut', 3, widths[0]!, pixels),
  ];
}

/** Number of weights of a model of this config. */
export function autoencoderParameterCount(config: AutoencoderConfig): number {
  return autoencoderTensors(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

/**
 * Name of a weight in the published state dict: `encoder.mid.block1.ninShortcut.weight` →
 * `encoder.mid.block_1.nin_shortcut.weight`. Layouts differ: there convolutions are OIHW, here HWIO.
 */
export function publishedName(path: string): string {
  return path
    .replace(/\.mid\.(block|attn)(\d)\./, '.mid.$1_$2.')
    .replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
