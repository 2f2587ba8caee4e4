// Shapes: B batch, h, w, C latent sides and channels, T triples, D width.
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
  /** 1 draws without guidance (and with half the work). */
  readonly guidanceScale: number;
  /** Noise of DDIM, 0 (none) to 1. */
  readonly eta?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (step: SamplingStep) => void | Promise<void>;
};

/**
 * Latents that comply with the graphs: the graphs are encoded once, then denoised together from their seeds' noise.
 *
 * @returns `[B, h, w, C]` in the diffusion's scale (unit variance). The caller disposes it.
 * @throws what packing, encoding and sampling throw; nothing is left allocated then.
 */
export async function drawLatents(drawer: LatentDrawer, graphs: readonly SceneGraph[], settings: DrawSettings): Promise<tf.Tensor4D> {
  const { schedule, latentShape } = drawer;
  const { sampler, steps, guidanceScale, seeds, eta, signal, onStep } = settings;
  const B = graphs.length;
  const sigmas = samplingSigmas(schedule, steps);
  const noise = perItemNoise(seeds);
  const guided = guidanceScale !== 1;
  const condition = encodeCondition(drawer, graphs, guided);
  const keep = guided ? tf.tensor1d(Float32Array.from({ length: 2 * B }, (_, i) => (i < B ? 1 : 0))) : undefined;
  const xT = initialNoise<tf.Rank.R4>(noise, [B, ...latentShape], sigmas);
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

/** The condition of the batch, twice over when a second half is to be drawn without it. */
function encodeCondition(drawer: LatentDrawer, graphs: readonly SceneGraph[], twice: boolean): UnetCondition {
  const { encoder, vocabulary } = drawer;
  const packed = packGraphs(graphs, vocabulary, { maxTriples: encoder.config.maxTriples });
  return tf.tidy(() => {
    const { local, mask, global } = encodeSceneGraphs(encoder.params, encoder.config, packed);
    if (!twice) return { local, mask, global };
    return { local: tf.concat([local, local]), mask: tf.concat([mask, mask]), global: tf.concat([global, global]) };
  });
}
