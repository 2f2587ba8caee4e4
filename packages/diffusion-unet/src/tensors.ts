import type { TensorEntry } from '@sgdiff/nn';
import { checkConfig, type UnetConfig } from './config';
import { unetPlan, type BlockPlan, type TransformerKind } from './plan';

/**
 * Every weight of the U-Net by path and shape, without making any of them: to check a file before reading it, or to
 * know a model's size. The order is that of `initUnet`; `publishedName` gives the names in the published state dict.
 *
 * @throws UnetConfigError if the config describes no network.
 */
export function unetTensors(config: UnetConfig): TensorEntry[] {
  checkConfig(config);
  const { modelChannels, contextWidth, localWidth, globalWidth } = config;
  const timeWidth = 4 * modelChannels;
  const hiddenMult = config.feedForwardMult ?? 4;

  const affine = (path: string, ...weight: number[]): TensorEntry[] => [
    { path: `${path}.weight`, shape: weight },
    { path: `${path}.bias`, shape: weight.slice(-1) },
  ];
  const attention = (path: string, channels: number, keyWidth: number): TensorEntry[] => [
    { path: `${path}.q.weight`, shape: [channels, channels] },
    { path: `${path}.k.weight`, shape: [keyWidth, channels] },
    { path: `${path}.v.weight`, shape: [keyWidth, channels] },
    ...affine(`${path}.out`, channels, channels),
  ];
  const res = (path: string, inC: number, outC: number): TensorEntry[] => [
    ...affine(`${path}.norm1`, inC),
    ...affine(`${path}.conv1`, 3, 3, inC, outC),
    ...affine(`${path}.time`, timeWidth, outC),
    ...affine(`${path}.norm2`, outC),
    ...affine(`${path}.conv2`, 3, 3, outC, outC),
    ...(inC === outC ? [] : affine(`${path}.skip`, 1, 1, inC, outC)),
  ];
  const transformer = (path: string, channels: number, kind: TransformerKind): TensorEntry[] =>
    kind === 'none'
      ? []
      : [
          ...affine(`${path}.norm`, channels),
          ...affine(`${path}.projIn`, 1, 1, channels, channels),
          ...Array.from({ length: config.transformerDepth }, (_, i) => `${path}.blocks.${i}`).flatMap((block) => [
            ...(kind === 'cross'
              ? []
              : [...affine(`${block}.norm1`, channels), ...attention(`${block}.attn1`, channels, channels)]),
            ...affine(`${block}.norm2`, channels),
            ...attention(`${block}.attn2`, channels, contextWidth),
            ...affine(`${block}.norm3`, channels),
            ...affine(`${block}.geglu.proj`, channels, 2 * hiddenMult * channels),
            ...affine(`${block}.ffOut`, hiddenMult * channels, channels),
          ]),
          ...affine(`${path}.projOut`, 1, 1, channels, channels),
        ];
  const block = (path: string, { kind, inChannels, outChannels, ...rest }: BlockPlan): TensorEntry[] => {
    if (kind !== 'res') return affine(`${path}.${kind}`, 3, 3, inChannels, outChannels);
    return [
      ...res(`${path}.res`, inChannels, outChannels),
      ...transformer(`${path}.transformer`, outChannels, rest.transformer),
      ...(rest.up ? affine(`${path}.up`, 3, 3, outChannels, outChannels) : []),
    ];
  };

  const { input, middle, output } = unetPlan(config);
  return [
    ...affine('timeEmbed.in', modelChannels, timeWidth),
    ...affine('timeEmbed.out', timeWidth, timeWidth),
    ...affine('condition.local', localWidth, contextWidth),
    ...(globalWidth === contextWidth ? [] : affine('condition.global', globalWidth, contextWidth)),
    ...(config.globalInTime ? affine('condition.globalTime', globalWidth, timeWidth) : []),
    ...(config.contextNorm ? affine('condition.norm', contextWidth) : []),
    ...(config.nullToken ? [{ path: 'condition.nullToken', shape: [contextWidth] }] : []),
    ...input.flatMap((entry, i) => block(`inputBlocks.${i}`, entry)),
    ...res('middleBlock.res1', middle.channels, middle.channels),
    ...transformer('middleBlock.transformer', middle.channels, middle.transformer),
    ...res('middleBlock.res2', middle.channels, middle.channels),
    ...output.flatMap((entry, i) => block(`outputBlocks.${i}`, entry)),
    ...affine('out.norm', modelChannels),
    ...affine('out.conv', 3, 3, modelChannels, config.outChannels),
  ];
}

/** Number of weights of a network of this config. */
export function unetParameterCount(config: UnetConfig): number {
  return unetTensors(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

/** Our path (as patterns) beside the published name, most specific first. */
const PUBLISHED: readonly (readonly [RegExp, string])[] = [
  [/^timeEmbed\.in\./, 'time_embed.0.'],
  [/^timeEmbed\.out\./, 'time_embed.2.'],
  [/^condition\.local\./, 'context_local_mlp.0.'],
  [/^inputBlocks\.(\d+)\.conv\./, 'input_blocks.$1.0.'],
  [/^inputBlocks\.(\d+)\.down\./, 'input_blocks.$1.0.op.'],
  [/^inputBlocks\.(\d+)\.res\./, 'input_blocks.$1.0.'],
  [/^inputBlocks\.(\d+)\.transformer\./, 'input_blocks.$1.1.'],
  [/^middleBlock\.res1\./, 'middle_block.0.'],
  [/^middleBlock\.transformer\./, 'middle_block.1.'],
  [/^middleBlock\.res2\./, 'middle_block.2.'],
  [/^outputBlocks\.(\d+)\.res\./, 'output_blocks.$1.0.'],
  [/^outputBlocks\.(\d+)\.transformer\./, 'output_blocks.$1.1.'],
  [/^out\.norm\./, 'out.0.'],
  [/^out\.conv\./, 'out.2.'],
  [/\.blocks\.(\d+)\.geglu\.proj\./, '.transformer_blocks.$1.ff.net.0.proj.'],
  [/\.blocks\.(\d+)\.ffOut\./, '.transformer_blocks.$1.ff.net.2.'],
  [/\.blocks\.(\d+)\.(attn[12])\.out\./, '.transformer_blocks.$1.$2.to_out.0.'],
  [/\.blocks\.(\d+)\.(attn[12])\.([qkv])\./, '.transformer_blocks.$1.$2.to_$3.'],
  [/\.blocks\.(\d+)\.(norm[123])\./, '.transformer_blocks.$1.$2.'],
  [/\.projIn\./, '.proj_in.'],
  [/\.projOut\./, '.proj_out.'],
  [/^((?:input_blocks|output_blocks|middle_block)[.\d]*)norm1\./, '$1in_layers.0.'],
  [/^((?:input_blocks|output_blocks|middle_block)[.\d]*)conv1\./, '$1in_layers.2.'],
  [/^((?:input_blocks|output_blocks|middle_block)[.\d]*)time\./, '$1emb_layers.1.'],
  [/^((?:input_blocks|output_blocks|middle_block)[.\d]*)norm2\./, '$1out_layers.0.'],
  [/^((?:input_blocks|output_blocks|middle_block)[.\d]*)conv2\./, '$1out_layers.3.'],
  [/^((?:input_blocks|output_blocks|middle_block)[.\d]*)skip\./, '$1skip_connection.'],
];

/**
 * Name of a weight in the published state dict (after `model.diffusion_model.`): `inputBlocks.1.res.conv1.weight` →
 * `input_blocks.1.0.in_layers.2.weight`. Layouts differ: there convolutions are OIHW and linear layers [out, in].
 * In the published net the upsampling of an output block is its third entry, or its second where it has no transformer.
 *
 * @returns undefined for weights that the published net does not have (null token, projections of the global feature).
 */
export function publishedName(path: string, config: UnetConfig): string | undefined {
  if (path.startsWith('condition.') && !path.startsWith('condition.local.')) return undefined;
  const up = /^outputBlocks\.(\d+)\.up\.(\w+)$/.exec(path);
  if (up) {
    const hasTransformer = unetPlan(config).output[Number(up[1])]!.transformer !== 'none';
    return `output_blocks.${up[1]}.${hasTransformer ? 2 : 1}.conv.${up[2]}`;
  }
  return PUBLISHED.reduce((name, [pattern, replacement]) => name.replace(pattern, replacement), path);
}
