// Shapes: B batch, h and w latent sides, D latent channels, K codes, W width of a code, S = D / W codes per position,
// N = B·h·w·S vectors to quantise.
import * as tf from '@tensorflow/tfjs-core';
import { embedding, meanAll, ShapeError, type EmbeddingParams, type Rng } from '@sgdiff/nn';
import { CodebookError } from './codebook';

/** The codebook. */
export type QuantizerParams = { readonly embedding: EmbeddingParams /* weight [K, W] */ };

export type Quantized = {
  /** The nearest codes, `[B, h, w, D]`; its gradient passes to `z` unchanged and never reaches the codebook. */
  readonly zQ: tf.Tensor4D;
  /** Rows of the codebook, `[B, h, w·S]`, int32: the S codes of a position stand together. */
  readonly indices: tf.Tensor3D;
};

/** At most this many distances are held at a time (16 MiB). */
const MAX_DISTANCES = 2 ** 22;

/** Codes uniform in ±1/K, as in the reference. Replace them by encoder outputs (`codebookFromLatents`) before training. */
export function initQuantizer(codebookSize: number, width: number, rng: Rng): QuantizerParams {
  const values = rng.fillUniform(new Float32Array(codebookSize * width)).map((u) => (2 * u - 1) / codebookSize);
  return { embedding: { weight: tf.tensor2d(values, [codebookSize, width]) } };
}

/**
 * Replaces each latent vector, or each of its S parts, by the nearest code (squared Euclidean distance, ties to the
 * lowest index).
 *
 * @param params Anything with the codebook at `quantize`, such as the whole autoencoder.
 * @param z `[B, h, w, D]`, float32, before quantisation.
 * @returns Straight-through codes and their indices. The caller disposes both.
 * @throws ShapeError if the channels of `z` are not made of whole codes.
 * @see arXiv:1711.00937, equations 1 and 2.
 */
export function quantize(params: { readonly quantize: QuantizerParams }, z: tf.Tensor4D): Quantized {
  const codebook = params.quantize.embedding;
  const [B, h, w, D] = z.shape;
  const [, width] = codebook.weight.shape;
  if (z.rank !== 4 || D % width !== 0) {
    throw new ShapeError(
      `quantize: expected z of shape [B, h, w, c] with c a multiple of ${width}, received [${z.shape.join(', ')}]. ` +
        `Pass what encode returned.`,
    );
  }
  return tf.tidy(() => {
    const indices = nearestCodes(codebook.weight, tf.reshape(z, [-1, width]) as tf.Tensor2D); // [N]
    const straightThrough = tf.customGrad((x) => ({
      value: tf.reshape(embedding(codebook, indices), (x as tf.Tensor).shape),
      gradFunc: (dy: tf.Tensor) => dy,
    }));
    return {
      zQ: straightThrough(z) as tf.Tensor4D,
      indices: tf.reshape(indices, [B, h, (w * D) / width]) as tf.Tensor3D,
    };
  });
}

/**
 * Gives a trainable codebook other values, in place.
 *
 * @param params Weights from `toVariables`.
 * @param codes `[K, W]` flat, such as `codebookFromLatents` or `restartDeadCodes` gave.
 * @throws CodebookError if the codebook is no variable or has another size.
 */
export function setCodebook(params: { readonly quantize: QuantizerParams }, codes: Float32Array): void {
  const { weight } = params.quantize.embedding;
  if (!(weight instanceof tf.Variable)) {
    throw new CodebookError(
      'setCodebook: expected trainable weights, received plain tensors. Pass them through toVariables.',
    );
  }
  if (codes.length !== weight.size) {
    throw new CodebookError(
      `setCodebook: expected ${weight.size} values for codes of shape [${weight.shape.join(', ')}], received ${codes.length}.`,
    );
  }
  tf.tidy(() => weight.assign(tf.tensor(codes.slice(), weight.shape)));
}

/**
 * Index of the nearest code of each vector, by the largest `2 z·e − |e|²`.
 *
 * @param codebook `[K, W]`.
 * @param z `[N, W]`.
 * @returns `[N]`, int32; no gradient. The caller disposes it.
 */
export function nearestCodes(codebook: tf.Tensor2D, z: tf.Tensor2D): tf.Tensor1D {
  const [N] = z.shape;
  const [K] = codebook.shape;
  return tf.tidy(() => {
    const twice = tf.transpose(tf.mul(codebook, 2)); // [W, K]
    const squares = tf.sum(tf.square(codebook), 1); // [K]
    const rows = Math.max(1, Math.floor(MAX_DISTANCES / K));
    const parts: tf.Tensor1D[] = [];
    for (let start = 0; start < N; start += rows) {
      parts.push(
        tf.tidy(() => {
          const some = tf.slice(z, [start, 0], [Math.min(rows, N - start), -1]);
          return tf.argMax(tf.sub(tf.matMul(some, twice), squares), 1) as tf.Tensor1D;
        }),
      );
    }
    return parts.length === 1 ? parts[0]! : tf.concat(parts);
  });
}

/**
 * Mean squared distance between latents and their codes, with separate strengths for the pull on the codes and the
 * pull on the encoder: `codebook · mean((sg[z] − e)²) + commitment · mean((z − sg[e])²)`.
 *
 * @param z `[B, h, w, D]` before quantisation.
 * @param codes The chosen codes `[B, h, w, D]` with a gradient to the codebook (not the straight-through `zQ`).
 * @returns A scalar. The caller disposes it.
 * @see arXiv:1711.00937, equation 3, second and third term.
 */
export function quantizationLoss(
  z: tf.Tensor4D,
  codes: tf.Tensor4D,
  strength: { readonly codebook: number; readonly commitment: number },
): tf.Scalar {
  const scaled = tf.customGrad((...args) => {
    const [a, b, save] = args as unknown as [tf.Tensor, tf.Tensor, tf.GradSaveFunc];
    const difference = tf.sub(a, b);
    save([difference]);
    return {
      value: tf.mul(meanAll(tf.square(difference)), strength.codebook + strength.commitment),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
        const pull = tf.mul(saved[0]!, tf.mul(dy, 2 / z.size));
        return [tf.mul(pull, strength.commitment), tf.mul(pull, -strength.codebook)];
      },
    };
  });
  return scaled(z, codes) as tf.Scalar;
}

/**
 * The codes of given indices, with a gradient to the codebook.
 *
 * @param indices `[B, h, w·S]`, int32, as `quantize` gives them.
 * @param embedDim D, the channels of the latents.
 * @returns `[B, h, w, D]`. The caller disposes it.
 */
export function lookUpCodes(
  params: { readonly quantize: QuantizerParams },
  indices: tf.Tensor3D,
  embedDim: number,
): tf.Tensor4D {
  const [B, h] = indices.shape;
  return tf.tidy(() => tf.reshape(embedding(params.quantize.embedding, indices), [B, h, -1, embedDim]) as tf.Tensor4D);
}
