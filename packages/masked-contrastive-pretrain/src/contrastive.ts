// Shapes: B batch, K hard negatives (0 or B), G width of a global vector.
import * as tf from '@tensorflow/tfjs-core';

/** Start value of `logitScale`, ln(1 / 0.07), as in CLIP and the published code. */
export const INITIAL_LOGIT_SCALE = Math.log(1 / 0.07);

/** Upper bound of `logitScale`; the lower one is 0. */
export const MAX_LOGIT_SCALE = Math.log(100);

/**
 * Symmetric contrastive loss between images and the graphs they comply with, all others in the batch as negatives.
 *
 * @param graphs Global graph vectors `[B, G]`; normalised here.
 * @param images Global image vectors `[B, G]`, row i belonging to graph i; normalised here.
 * @param logitScale Scalar; its exponential, bounded to [1, 100], multiplies the cosines.
 * @param hardGraphs Non-compliant graphs `[K, G]`, further negatives of every image. Our addition, none by default.
 * @returns Scalar, the mean of both directions' cross-entropies. The caller disposes it.
 * @see arXiv:2211.11138, equation 4; arXiv:2103.00020, Figure 3.
 */
export function contrastiveLoss(
  graphs: tf.Tensor2D,
  images: tf.Tensor2D,
  logitScale: tf.Tensor,
  hardGraphs?: tf.Tensor2D,
): tf.Scalar {
  return tf.tidy(() => {
    const scale = tf.exp(boundedLogitScale(logitScale));
    const graphUnits = unitRows(graphs);
    const imageUnits = unitRows(images);
    const scored = (units: tf.Tensor2D): tf.Tensor2D =>
      tf.mul(tf.matMul(imageUnits, tf.transpose(units)), scale) as tf.Tensor2D;
    const logits = scored(graphUnits); // [B images, B graphs]
    const imageLogits = hardGraphs === undefined ? logits : tf.concat([logits, scored(unitRows(hardGraphs))], 1);
    const total = tf.add(diagonalCrossEntropy(imageLogits), diagonalCrossEntropy(tf.transpose(logits)));
    return tf.mul(total, 0.5) as tf.Scalar;
  });
}

/** Rows scaled to length 1; a zero row stays zero and has a finite gradient. `[N, G]` -> `[N, G]`. */
export function unitRows(x: tf.Tensor2D): tf.Tensor2D {
  return tf.tidy(() => tf.mul(x, tf.rsqrt(tf.add(tf.sum(tf.square(x), -1, true), 1e-12))) as tf.Tensor2D);
}

/**
 * `logitScale` held in [0, ln 100]. The published code cuts the weight after each step; here the function bounds the
 * value and drops only the gradient that pushes further out, so a weight that slipped over the edge comes back.
 */
export function boundedLogitScale(logitScale: tf.Tensor): tf.Tensor {
  const bounded = tf.customGrad((x, save) => {
    const input = x as tf.Tensor;
    (save as tf.GradSaveFunc)([input]);
    return {
      value: tf.clipByValue(input, 0, MAX_LOGIT_SCALE),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        tf.tidy(() => {
          const at = saved[0]!;
          // Descent moves against dy: above the bound a negative dy pushes further up, below it a positive one further down.
          const outward = tf.logicalOr(
            tf.logicalAnd(tf.greater(at, MAX_LOGIT_SCALE), tf.less(dy, 0)),
            tf.logicalAnd(tf.less(at, 0), tf.greater(dy, 0)),
          );
          return tf.where(outward, tf.zerosLike(dy), dy);
        }),
    };
  });
  return bounded(logitScale);
}

/**
 * Mean cross-entropy of rows whose right answer is the column of the row's own number. The gradient, softmax minus
 * one-hot, is written out: fewer kernels than through `logSumExp`, and all of them exist on every backend.
 */
function diagonalCrossEntropy(logits: tf.Tensor2D): tf.Scalar {
  const crossEntropy = tf.customGrad((x, save) => {
    const rows = x as tf.Tensor2D;
    const [B, N] = rows.shape;
    const shifted = tf.sub(rows, tf.max(rows, 1, true));
    const exps = tf.exp(shifted);
    const sums = tf.sum(exps, 1, true); // [B, 1]
    const right = tf.tensor2d(identityRows(B, N), [B, N]);
    (save as tf.GradSaveFunc)([tf.sub(tf.div(exps, sums), right)]);
    const losses = tf.sub(tf.log(tf.squeeze(sums, [1])), tf.sum(tf.mul(shifted, right), 1)); // [B]
    return {
      value: tf.mean(losses),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.tidy(() => tf.mul(saved[0]!, tf.div(dy, B))),
    };
  });
  return crossEntropy(logits) as tf.Scalar;
}

function identityRows(rows: number, columns: number): Float32Array {
  const identity = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) identity[i * columns + i] = 1;
  return identity;
}
