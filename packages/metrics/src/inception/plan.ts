// The network as data: what initialisation, listing, folding and running share.

/** A convolution's kernel height, kernel width and output channels; each is followed by a batch norm and a ReLU. */
export type ConvPlan = readonly [kernelHeight: number, kernelWidth: number, channels: number];

export type Pooling = 'average' | 'max';

/** One way through a block: a pooling, if any, then the convolutions. */
export type BranchPlan = {
  readonly name: string;
  readonly pool?: Pooling;
  /** One after the other. */
  readonly convs: readonly ConvPlan[];
  /** Side by side on the result of `convs`, their outputs joined. */
  readonly ends?: readonly ConvPlan[];
};

/** Branches on the same input, their outputs joined along the channels. */
export type BlockPlan = {
  readonly name: string;
  readonly inChannels: number;
  /** Halves the sides: the last convolution or pooling of each branch steps by 2, without padding. */
  readonly halves: boolean;
  readonly branches: readonly BranchPlan[];
};

export type StemPlan = {
  readonly name: string;
  readonly published: string;
  readonly conv: ConvPlan;
  readonly stride: 1 | 2;
  readonly padding: 'valid' | 'same';
  /** Whether a 3x3 max pooling by 2 follows. */
  readonly pooled: boolean;
};

/** One convolution with its batch norm: where it stands in our tree and in the published state dict. */
export type LayerPlan = {
  readonly path: string;
  readonly published: string;
  readonly kernel: readonly [height: number, width: number];
  readonly inChannels: number;
  readonly outChannels: number;
};

/** One thing per convolution, in the form of the network. */
export type InceptionTree<T> = {
  readonly stem: { readonly [name: string]: T };
  readonly blocks: { readonly [name: string]: { readonly [branch: string]: readonly T[] } };
};

/** Side of the square pictures that the network sees. */
export const INCEPTION_SIZE = 299;
/** Width of the pooled features. */
export const INCEPTION_WIDTH = 2048;
/** Number of logits: the 1,000 classes of ILSVRC 2012 and 8 that the 2015 network has beside them. */
export const INCEPTION_CLASSES = 1008;

/** From 299 x 299 x 3 to 35 x 35 x 192. */
export const STEM: readonly StemPlan[] = [
  { name: 'conv1a', published: 'Conv2d_1a_3x3', conv: [3, 3, 32], stride: 2, padding: 'valid', pooled: false },
  { name: 'conv2a', published: 'Conv2d_2a_3x3', conv: [3, 3, 32], stride: 1, padding: 'valid', pooled: false },
  { name: 'conv2b', published: 'Conv2d_2b_3x3', conv: [3, 3, 64], stride: 1, padding: 'same', pooled: true },
  { name: 'conv3b', published: 'Conv2d_3b_1x1', conv: [1, 1, 80], stride: 1, padding: 'valid', pooled: false },
  { name: 'conv4a', published: 'Conv2d_4a_3x3', conv: [3, 3, 192], stride: 1, padding: 'valid', pooled: true },
];

/** In the order they run: A (5b to 5d) at 35 x 35, B, C (6b to 6e) at 17 x 17, D, E (7b, 7c) at 8 x 8. */
export const BLOCKS: readonly BlockPlan[] = [
  blockA('mixed5b', 192, 32),
  blockA('mixed5c', 256, 64),
  blockA('mixed5d', 288, 64),
  blockB('mixed6a', 288),
  blockC('mixed6b', 128),
  blockC('mixed6c', 160),
  blockC('mixed6d', 160),
  blockC('mixed6e', 192),
  blockD('mixed7a', 768),
  blockE('mixed7b', 1280, 'average'),
  // The 2015 network takes the maximum here, by mistake or not; its features are what the scores are made of.
  blockE('mixed7c', INCEPTION_WIDTH, 'max'),
];

/** Makes one thing for each convolution, in the order they stand in the tree. */
export function mapLayers<T>(make: (layer: LayerPlan) => T): InceptionTree<T> {
  let inChannels = 3;
  const stem: Record<string, T> = {};
  for (const { name, published, conv } of STEM) {
    stem[name] = make(layerOf(`stem.${name}`, published, inChannels, conv));
    inChannels = conv[2];
  }
  const blocks = Object.fromEntries(BLOCKS.map((block) => [block.name, mapBlock(block, make)]));
  return { stem, blocks };
}

function mapBlock<T>(block: BlockPlan, make: (layer: LayerPlan) => T): Record<string, readonly T[]> {
  return Object.fromEntries(
    block.branches
      .filter(({ convs }) => convs.length > 0)
      .map(({ name, convs, ends = [] }) => {
        const path = `blocks.${block.name}.${name}`;
        const published = `${publishedWord(block.name)}.${publishedWord(name)}`;
        const alone = convs.length + ends.length === 1;
        const joint = convs.length + 1; // the number that the ends share: `_3a`, `_3b`
        let inChannels = block.inChannels;
        const inLine = convs.map((conv, i) => {
          const layer = layerOf(`${path}.${i}`, alone ? published : `${published}_${i + 1}`, inChannels, conv);
          inChannels = conv[2];
          return make(layer);
        });
        const sideBySide = ends.map((conv, i) =>
          make(layerOf(`${path}.${convs.length + i}`, `${published}_${joint}${'ab'[i]}`, inChannels, conv)),
        );
        return [name, [...inLine, ...sideBySide]];
      }),
  );
}

function layerOf(path: string, published: string, inChannels: number, conv: ConvPlan): LayerPlan {
  const [height, width, outChannels] = conv;
  return { path, published, kernel: [height, width], inChannels, outChannels };
}

/** `mixed5b` → `Mixed_5b`, `branchPool` → `branch_pool`; other branches have the same name there. */
function publishedWord(name: string): string {
  return name.replace(/^mixed/, 'Mixed_').replace('branchPool', 'branch_pool');
}

function blockA(name: string, inChannels: number, poolChannels: number): BlockPlan {
  return {
    name,
    inChannels,
    halves: false,
    branches: [
      { name: 'branch1x1', convs: [[1, 1, 64]] },
      // prettier-ignore
      { name: 'branch5x5', convs: [[1, 1, 48], [5, 5, 64]] },
      // prettier-ignore
      { name: 'branch3x3dbl', convs: [[1, 1, 64], [3, 3, 96], [3, 3, 96]] },
      { name: 'branchPool', pool: 'average', convs: [[1, 1, poolChannels]] },
    ],
  };
}

function blockB(name: string, inChannels: number): BlockPlan {
  return {
    name,
    inChannels,
    halves: true,
    branches: [
      { name: 'branch3x3', convs: [[3, 3, 384]] },
      // prettier-ignore
      { name: 'branch3x3dbl', convs: [[1, 1, 64], [3, 3, 96], [3, 3, 96]] },
      { name: 'branchPool', pool: 'max', convs: [] },
    ],
  };
}

function blockC(name: string, narrow: number): BlockPlan {
  return {
    name,
    inChannels: 768,
    halves: false,
    branches: [
      { name: 'branch1x1', convs: [[1, 1, 192]] },
      // prettier-ignore
      { name: 'branch7x7', convs: [[1, 1, narrow], [1, 7, narrow], [7, 1, 192]] },
      // prettier-ignore
      { name: 'branch7x7dbl', convs: [[1, 1, narrow], [7, 1, narrow], [1, 7, narrow], [7, 1, narrow], [1, 7, 192]] },
      { name: 'branchPool', pool: 'average', convs: [[1, 1, 192]] },
    ],
  };
}

function blockD(name: string, inChannels: number): BlockPlan {
  return {
    name,
    inChannels,
    halves: true,
    branches: [
      // prettier-ignore
      { name: 'branch3x3', convs: [[1, 1, 192], [3, 3, 320]] },
      // prettier-ignore
      { name: 'branch7x7x3', convs: [[1, 1, 192], [1, 7, 192], [7, 1, 192], [3, 3, 192]] },
      { name: 'branchPool', pool: 'max', convs: [] },
    ],
  };
}

function blockE(name: string, inChannels: number, pool: Pooling): BlockPlan {
  const cross: readonly ConvPlan[] = [
    [1, 3, 384],
    [3, 1, 384],
  ];
  return {
    name,
    inChannels,
    halves: false,
    branches: [
      { name: 'branch1x1', convs: [[1, 1, 320]] },
      { name: 'branch3x3', convs: [[1, 1, 384]], ends: cross },
      // prettier-ignore
      { name: 'branch3x3dbl', convs: [[1, 1, 448], [3, 3, 384]], ends: cross },
      { name: 'branchPool', pool, convs: [[1, 1, 192]] },
    ],
  };
}
