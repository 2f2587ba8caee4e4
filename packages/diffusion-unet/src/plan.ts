import type { UnetConfig } from './config';

/** Which transformer follows a residual block. */
export type TransformerKind = 'none' | 'cross' | 'self-cross';

/** One entry of the network on its way down or up; `factor` is the image's downsampling at its input. */
export type BlockPlan = {
  readonly kind: 'conv' | 'res' | 'down';
  readonly inChannels: number;
  readonly outChannels: number;
  readonly factor: number;
  readonly transformer: TransformerKind;
  /** Whether the sides double at the end of the block. */
  readonly up: boolean;
};

export type UnetPlan = {
  readonly input: readonly BlockPlan[];
  readonly middle: { readonly channels: number; readonly factor: number; readonly transformer: TransformerKind };
  readonly output: readonly BlockPlan[];
};

/** The blocks of a network in the order they run, without weights: what init, listing and cost share. */
export function unetPlan(config: UnetConfig): UnetPlan {
  const { modelChannels, channelMults, numResBlocks } = config;
  const transformerAt = (factor: number): TransformerKind => {
    if (!config.attentionFactors.includes(factor)) return 'none';
    return config.crossOnlyFactors?.includes(factor) ? 'cross' : 'self-cross';
  };
  const plain = { transformer: 'none', up: false } as const;
  const last = channelMults.length - 1;

  const input: BlockPlan[] = [
    { kind: 'conv', inChannels: config.inChannels, outChannels: modelChannels, factor: 1, ...plain },
  ];
  let channels = modelChannels;
  channelMults.forEach((mult, level) => {
    const factor = 2 ** level;
    const outChannels = modelChannels * mult;
    for (let i = 0; i < numResBlocks; i++) {
      input.push({
        kind: 'res',
        inChannels: channels,
        outChannels,
        factor,
        transformer: transformerAt(factor),
        up: false,
      });
      channels = outChannels;
    }
    if (level < last) input.push({ kind: 'down', inChannels: channels, outChannels: channels, factor, ...plain });
  });

  const middle = {
    channels,
    factor: 2 ** last,
    transformer: config.crossOnlyFactors?.includes(2 ** last) ? ('cross' as const) : ('self-cross' as const),
  };

  const skips = input.map((block) => block.outChannels);
  const output: BlockPlan[] = [];
  for (let level = last; level >= 0; level--) {
    const factor = 2 ** level;
    const outChannels = modelChannels * channelMults[level]!;
    for (let i = 0; i <= numResBlocks; i++) {
      output.push({
        kind: 'res',
        inChannels: channels + skips.pop()!,
        outChannels,
        factor,
        transformer: transformerAt(factor),
        up: level > 0 && i === numResBlocks,
      });
      channels = outChannels;
    }
  }
  return { input, middle, output };
}
