// Shapes: B batch, N network calls of a step (B, or 2B with guidance), h, w, C latent sides and channels, T triples, D width.
import { unet, type UnetConfig, type UnetCondition, type UnetParams } from '@sgdiff/diffusion-unet';
import {
  classifierFreeGuidance,
  denoiserFromModel,
  initialNoise,
  perItemNoise,
  samplingSigmas,
  type Prediction,
  type SamplingStep,
  type Schedule,
} from '@sgdiff/sampler';
import { encodeSceneGraphs, type SgEncoderConfig, type SgEncoderParams } from '@sgdiff/sg-encoder';
import { packGraphs, type SceneGraph, type Vocabulary } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import { runSampler, type SamplerName } from './samplers';

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
  /** 1 draws without guidance (and with half the work). Any other needs a U-Net with a null token. */
  readonly guidanceScale: number;
  /** Noise of DDIM, 0 (none) to 1. */
  readonly eta?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (step: SamplingStep) => void | Promise<void>;
};

/**
 * Latents that comply with the graphs: the graphs are encoded once, then denoised together from their seeds' noise.
 *
 * With guidance, a graph's `negative` takes the place of "no graph": the picture is led away from it.
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
  const { sampler, steps, guidanceScale, seeds, eta, signal, onStep } = settings;
  const sigmas = samplingSigmas(schedule, steps);
  const noise = perItemNoise(seeds);
  const guided = guidanceScale !== 1;
  const { condition, keep, xT } = tf.tidy(() => ({
    ...encodeCondition(drawer, graphs, guided),
    xT: initialNoise<tf.Rank.R4>(noise, [graphs.length, ...latentShape], sigmas),
  }));
  try {
    const model = (x: tf.Tensor4D, t: tf.Tensor1D): tf.Tensor4D =>
      unet(drawer.unet.params, drawer.unet.config, x, t, condition, keep ? { keep } : {});
    const plain = denoiserFromModel(model, schedule, drawer.prediction);
    const denoiser = guided ? classifierFreeGuidance(plain, { guidanceScale }) : plain;
    return await runSampler(sampler, denoiser, xT, sigmas, {
      noise,
      ...(eta === undefined ? {} : { eta }),
      ...(signal ? { signal } : {}),
      ...(onStep ? { onStep } : {}),
    });
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
  const { maxTriples } = encoder.config;
  const opposites = guided ? graphs.map((graph) => graph.negative ?? graph) : [];
  const packed = packGraphs([...graphs, ...opposites], vocabulary, {
    maxTriples,
    // A network that attends to the padding must always see the same amount of it, whatever else is in the batch.
    ...(unet.config.maskPadding ? {} : { tripleSlots: maxTriples }),
  });
  const { local, mask, global } = encodeSceneGraphs(encoder.params, encoder.config, packed); // [N, T, 3D], [N, T], [N, G]
  const condition = { local, mask, global };
  if (!guided) return { condition };
  return {
    condition,
    keep: tf.tensor1d([...graphs.map(() => 1), ...graphs.map(({ negative }) => (negative ? 1 : 0))]),
  };
}
