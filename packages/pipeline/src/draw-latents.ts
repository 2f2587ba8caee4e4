// Shapes: B batch, N network calls of a step (B, or 2B with guidance), h, w, C latent sides and channels, T triples, D width.
import {
  unet,
  type UnetAttention,
  type UnetConfig,
  type UnetCondition,
  type UnetOptions,
  type UnetParams,
} from '@sgdiff/diffusion-unet';
import {
  classifierFreeGuidance,
  denoiserFromModel,
  initialNoise,
  perItemNoise,
  type Prediction,
  type SamplingStep,
  type Schedule,
} from '@sgdiff/sampler';
import { encodeSceneGraphs, type SgEncoderConfig, type SgEncoderParams } from '@sgdiff/sg-encoder';
import { packGraphs, type PackedGraphs, type SceneGraph, type Vocabulary } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import { holdRegions, type Regions } from './hold-regions';
import { runSampler, type SamplerName } from './samplers';
import { DEFAULT_SIGMA_LIST, levelsOf, type SigmaListName } from './sigma-lists';
import { DEFAULT_SPACING, type SpacingName } from './spacings';

/** The parts that turn graphs into latents. */
export type LatentDrawer = {
  readonly vocabulary: Vocabulary;
  readonly encoder: { readonly params: SgEncoderParams; readonly config: SgEncoderConfig };
  readonly unet: { readonly params: UnetParams; readonly config: UnetConfig };
  readonly schedule: Schedule;
  readonly prediction: Prediction;
  readonly latentShape: readonly [h: number, w: number, C: number];
};

export type DrawSettings = {
  /** One per graph: the picture of an item depends on its own seed and graph, not on the batch around it. */
  readonly seeds: readonly number[];
  readonly sampler: SamplerName;
  readonly steps: number;
  /** Default 'trailing'. With 'published' the result keeps the little noise that published SGDiff decodes with it. */
  readonly spacing?: SpacingName;
  /** Default 'schedule', the levels of the timesteps that `spacing` chooses. Another list takes their place. */
  readonly sigmas?: SigmaListName;
  /** 1 draws without guidance (and with half the work). Any other needs a U-Net with a null token. */
  readonly guidanceScale: number;
  /** Noise of `ddim`, of the ancestral samplers and the SDE ones, 0 (none) to 1. Default 0 for `ddim`, else 1. */
  readonly eta?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (step: SamplingStep) => void | Promise<void>;
  /**
   * Called in each network call for each layer with cross-attention: where the graphs' pictures looked, `[B, h, w, M]`, with
   * guidance without its other half. Changes nothing of the result.
   */
  readonly onAttention?: (attention: UnetAttention) => void;
  /** Where each picture is drawn anew; elsewhere it is as the one before it, which needs the same seed. All of all unless given. */
  readonly regions?: Regions;
  /** With `regions`: latents that the first picture is to be, `[1, h, w, C]`, instead of what the network draws. Borrowed. */
  readonly known?: tf.Tensor4D;
};

/**
 * Latents that comply with the graphs: the graphs are encoded once, then denoised together from their seeds' noise.
 *
 * An object's weight counts in the tokens of all triples it takes part in, a relation's in its own: see `PackedGraphs.tripleWeights`
 * and `UnetCondition.weights`. With guidance, a graph's `negative` takes the place of "no graph": the picture is led away from it.
 *
 * @returns `[B, h, w, C]` in the diffusion's scale (unit variance). The caller disposes it.
 * @throws what packing, encoding and sampling throw; nothing is left allocated then.
 */
export async function drawLatents(
  drawer: LatentDrawer,
  graphs: readonly SceneGraph[],
  settings: DrawSettings,
): Promise<tf.Tensor4D> {
  const { schedule, latentShape } = drawer;
  const {
    sampler,
    steps,
    spacing = DEFAULT_SPACING,
    sigmas: list = DEFAULT_SIGMA_LIST,
    guidanceScale,
    seeds,
    eta,
    signal,
    onStep,
    onAttention,
    regions = [],
    known,
  } = settings;
  const sigmas = levelsOf(schedule, list, spacing, steps);
  const sigmaEnd = sigmas.at(-1)!;
  const noise = perItemNoise(seeds);
  const guided = guidanceScale !== 1;
  const { condition, keep, xT } = tf.tidy(() => ({
    ...encodeCondition(drawer, graphs, guided),
    xT: initialNoise<tf.Rank.R4>(noise, [graphs.length, ...latentShape], sigmas),
  }));
  try {
    const options: UnetOptions = {
      ...(keep ? { keep } : {}),
      ...(onAttention && {
        onAttention: ({ factor, shares }) =>
          onAttention({ factor, shares: guided ? tf.slice(shares, 0, graphs.length) : shares }),
      }),
    };
    const model = (x: tf.Tensor4D, t: tf.Tensor1D): tf.Tensor4D =>
      unet(drawer.unet.params, drawer.unet.config, x, t, condition, options);
    const plain = denoiserFromModel(model, schedule, drawer.prediction);
    const free = guided ? classifierFreeGuidance(plain, { guidanceScale }) : plain;
    const denoiser = holdRegions(free, regions, latentShape, known);
    const x = await runSampler(sampler, denoiser, xT, sigmas, {
      noise,
      keepNoise: sigmaEnd > 0,
      ...(eta === undefined ? {} : { eta }),
      ...(signal ? { signal } : {}),
      ...(onStep ? { onStep } : {}),
    });
    if (sigmaEnd === 0) return x;
    // A sampler's x is x0 + sigma * eps. What is left of the noise belongs to variance-preserving latents, as published.
    const z = tf.mul<tf.Tensor4D>(x, 1 / Math.sqrt(1 + sigmaEnd ** 2));
    x.dispose();
    return z;
  } finally {
    tf.dispose([condition, xT, ...(keep ? [keep] : [])]);
  }
}

/**
 * The condition of the network's N inputs; with guidance the second half is the negative graphs, or nothing.
 *
 * @returns Tensors inside the caller's tidy; `keep` `[N]` is 0 where the condition is to be left out.
 */
function encodeCondition(
  { encoder, unet, vocabulary }: LatentDrawer,
  graphs: readonly SceneGraph[],
  guided: boolean,
): { readonly condition: UnetCondition; readonly keep?: tf.Tensor1D } {
  const { maxTriples, overflow } = encoder.config;
  const inputs = [...graphs, ...(guided ? graphs.map((graph) => graph.negative ?? graph) : [])]; // N of them
  // With overflow 'first' all triples are packed, and the encoder makes tokens of the first `maxTriples`.
  const room = overflow === 'first' ? Math.max(maxTriples, ...inputs.map(tripleCount)) : maxTriples;
  const packed = packGraphs(inputs, vocabulary, {
    maxTriples: room,
    // A network that attends to the padding must always see `maxTriples` tokens, whatever else is in the batch.
    ...(unet.config.maskPadding ? {} : { tripleSlots: room }),
  });
  const { local, mask, global } = encodeSceneGraphs(encoder.params, encoder.config, packed); // [N, T, 3D], [N, T], [N, G]
  const condition = {
    local,
    mask,
    global,
    ...(inputs.some(isWeighted) ? { weights: tokenWeights(packed, mask) } : {}),
  };
  if (!guided) return { condition };
  return {
    condition,
    keep: tf.tensor1d([...graphs.map(() => 1), ...graphs.map(({ negative }) => (negative ? 1 : 0))]),
  };
}

function isWeighted({ weights = [], relationshipWeights = [] }: SceneGraph): boolean {
  return [...weights, ...relationshipWeights].some((weight) => weight !== 1);
}

/** `[N, T]`; 1 for padding, which some networks attend to. */
function tokenWeights({ batch, tripleSlots, tripleWeights }: PackedGraphs, mask: tf.Tensor2D): tf.Tensor2D {
  const weights = tf.slice(tf.tensor2d(tripleWeights, [batch, tripleSlots]), [0, 0], mask.shape);
  return tf.add(weights, tf.sub(1, mask));
}

/** Triples of a graph, with one `__in_image__` for each object. */
function tripleCount({ objects, relationships }: SceneGraph): number {
  return relationships.length + objects.length;
}
