// Shapes: B batch, T triples, M = T + 1 context tokens, X context width, L local width, G global width, E time width.
import * as tf from '@tensorflow/tfjs-core';
import {
  expectShape,
  initLayerNorm,
  initLinear,
  layerNorm,
  linear,
  ShapeError,
  type LinearParams,
  type NormParams,
  type Rng,
} from '@sgdiff/nn';
import type { UnetConfig } from './config';

/** What the picture should show, as the graph encoder gives it. */
export type UnetCondition = {
  /** One feature per triple: `[B, T, L]`, float32. */
  readonly local: tf.Tensor3D;
  /** 1 for a real triple, 0 for padding: `[B, T]`, float32. */
  readonly mask: tf.Tensor2D;
  /**
   * How much the token of each triple counts in cross-attention, at least 0: `[B, T]`, float32. Its share is multiplied by it
   * before the shares are brought to the sum 1: 1 is usual, 0 hides it. All 1 if left out.
   *
   * @see arXiv:2208.01626, section 3.2, attention re-weighting, which multiplies after the softmax: there the shares no longer sum to 1.
   */
  readonly weights?: tf.Tensor2D;
  /** One feature per graph: `[B, G]`, float32. */
  readonly global: tf.Tensor2D;
};

export type ConditionParams = {
  readonly local: LinearParams; // [L, X]
  /** Global feature to a token, where its width differs. */
  readonly global?: LinearParams; // [G, X]
  /** Global feature to the time embedding. */
  readonly globalTime?: LinearParams; // [G, E]
  readonly norm?: NormParams; // [X]
  /** The token that stands for "no graph". */
  readonly nullToken?: tf.Tensor1D; // [X]
};

export function initCondition(config: UnetConfig, timeWidth: number, rng: Rng): ConditionParams {
  const { localWidth, globalWidth, contextWidth } = config;
  return {
    local: initLinear(localWidth, contextWidth, rng.fork('local')),
    ...(globalWidth === contextWidth ? {} : { global: initLinear(globalWidth, contextWidth, rng.fork('global')) }),
    ...(config.globalInTime ? { globalTime: initLinear(globalWidth, timeWidth, rng.fork('globalTime')) } : {}),
    ...(config.contextNorm ? { norm: initLayerNorm(contextWidth) } : {}),
    ...(config.nullToken
      ? { nullToken: tf.tensor1d(rng.fork('nullToken').fillNormal(new Float32Array(contextWidth))) }
      : {}),
  };
}

export type PreparedCondition = {
  /** Tokens for cross-attention: local ones, then the global one; `[B, M, X]`. */
  readonly tokens: tf.Tensor3D;
  /** Factors of the shares `[B, M]`, or left out where all are 1. That of the global token is always 1. */
  readonly mask?: tf.Tensor2D;
  /** What is added to the time embedding: `[B, E]`. */
  readonly time?: tf.Tensor2D;
};

/**
 * Tokens, mask and time shift of a condition.
 *
 * @param keep 1 to keep an item's condition, 0 to put the null condition in its place: `[B]`, float32.
 * @returns Tensors inside the caller's tidy.
 * @throws ShapeError if the condition does not fit the config, or if `keep` comes without a null token.
 */
export function prepareCondition(
  params: ConditionParams,
  config: UnetConfig,
  condition: UnetCondition,
  batch: number,
  keep?: tf.Tensor1D,
): PreparedCondition {
  const { local, mask, weights, global } = condition;
  const T = local.shape[1];
  expectShape(
    'unet',
    { local, mask, global, ...(weights ? { weights } : {}), ...(keep ? { keep } : {}) },
    {
      local: [batch, T, config.localWidth],
      mask: [batch, T],
      ...(weights ? { weights: [batch, T] } : {}),
      global: [batch, config.globalWidth],
      ...(keep ? { keep: [batch] } : {}),
    },
  );
  if (keep && !params.nullToken) {
    throw new ShapeError(
      `unet: expected no keep, since this network has no null condition, received keep of shape [${keep.shape.join(', ')}]. ` +
        `Set nullToken in its config and train it with condition dropout.`,
    );
  }
  const kept = keep ? (tf.mul(global, tf.reshape(keep, [batch, 1])) as tf.Tensor2D) : global; // [B, G]
  const localTokens = linear(params.local, local); // [B, T, X]
  const globalToken = tf.reshape(params.global ? linear(params.global, kept) : kept, [batch, 1, config.contextWidth]);
  let tokens = tf.concat([localTokens, globalToken], 1) as tf.Tensor3D; // [B, M, X]
  if (params.norm) tokens = layerNorm(params.norm, tokens);
  if (params.nullToken) {
    // Also without keep, so that the null token gets a gradient (of zero) in every training step.
    const on = tf.reshape(keep ?? tf.ones([batch]), [batch, 1, 1]);
    const nothing = tf.mul(tf.sub(1, on), params.nullToken); // [B, 1, X]
    tokens = tf.add(tf.mul(tokens, on), nothing);
  }
  const shown = config.maskPadding ? (weights ? tf.mul<tf.Tensor2D>(mask, weights) : mask) : weights; // [B, T]
  return {
    tokens,
    ...(shown ? { mask: tf.concat([shown, tf.ones([batch, 1])], 1) as tf.Tensor2D } : {}),
    ...(params.globalTime ? { time: linear(params.globalTime, kept) } : {}),
  };
}
