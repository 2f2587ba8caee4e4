import * as tf from '@tensorflow/tfjs-core';

/**
 * Runs `f` as if no gradient were being taken around it: nothing in it is recorded, and gradients taken inside are of
 * their own. What it returns is a constant for the gradient outside.
 *
 * tfjs has one tape. A gradient inside another is recorded for the outer one too, with all it saves, until that ends.
 */
export function withoutTape<T>(f: () => T): T {
  const { state } = tf.engine();
  const { gradientDepth, activeTape } = state;
  state.gradientDepth = 0;
  try {
    return f();
  } finally {
    state.gradientDepth = gradientDepth;
    state.activeTape = activeTape;
  }
}
