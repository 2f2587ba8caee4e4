// Data whose ideal denoiser E[x0 | x] and whose ODE end points are known in closed form. N items, D dimensions.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from '../denoiser';

/** A 2-D Gaussian: mean and covariance [[xx, xy], [xy, yy]]. */
export type Gaussian = { readonly mean: readonly [number, number]; readonly cov: readonly [number, number, number] };

/** A 1-D mixture of Gaussians; every dimension of the data is an independent draw of it. */
export type Mixture = readonly { readonly weight: number; readonly mean: number; readonly std: number }[];

export const GAUSSIAN: Gaussian = { mean: [0.7, -0.4], cov: [0.5, 0.3, 0.8] };

export const MIXTURE: Mixture = [
  { weight: 0.3, mean: -1.2, std: 0.4 },
  { weight: 0.7, mean: 0.8, std: 0.6 },
];

type Matrix = readonly [a: number, b: number, c: number, d: number];

/** f applied to the eigenvalues of a symmetric 2 x 2 matrix. */
function spectral([xx, xy, yy]: Gaussian['cov'], f: (eigenvalue: number) => number): Matrix {
  const half = (xx + yy) / 2;
  const spread = Math.hypot((xx - yy) / 2, xy);
  const [l1, l2] = [half + spread, half - spread];
  const [f1, f2] = [f(l1), f(l2)];
  const slope = (f1 - f2) / (l1 - l2);
  return [f2 + slope * (xx - l2), slope * xy, slope * xy, f2 + slope * (yy - l2)];
}

/** E[x0 | x] = mean + C (C + sigma^2)^-1 (x - mean), for x `[N, 2]`. */
export function gaussianDenoiser({ mean, cov }: Gaussian): Denoiser<tf.Tensor2D> {
  return (x, sigma) =>
    tf.tidy(() => {
      const [a, b, c, d] = spectral(cov, (l) => l / (l + sigma * sigma));
      const gain = tf.tensor2d([a, b, c, d], [2, 2]);
      const mu = tf.tensor1d([...mean]);
      return tf.add<tf.Tensor2D>(mu, tf.matMul(tf.sub<tf.Tensor2D>(x, mu), gain)); // gain is symmetric
    });
}

/** Where the probability-flow ODE takes x at `sigma`: mean + (C / (C + sigma^2))^(1/2) (x - mean). */
export function gaussianEndPoints({ mean, cov }: Gaussian, x: ArrayLike<number>, sigma: number): Float64Array {
  const [a, b, c, d] = spectral(cov, (l) => Math.sqrt(l / (l + sigma * sigma)));
  const out = new Float64Array(x.length);
  for (let i = 0; i < x.length; i += 2) {
    const [u, v] = [x[i]! - mean[0], x[i + 1]! - mean[1]];
    out[i] = mean[0] + a * u + b * v;
    out[i + 1] = mean[1] + c * u + d * v;
  }
  return out;
}

/**
 * Mean and covariance of what DDPM gives for this data in exact arithmetic: the chain is linear in x, so that
 * per eigenvalue l of C the variance follows v' = (r + (1 - r) g)^2 v + ratio * added. Starts from N(0, 1 + sigmas[0]^2).
 */
export function ddpmGaussianLaw({ mean, cov }: Gaussian, sigmas: ArrayLike<number>): Gaussian {
  const start = 1 + sigmas[0]! ** 2;
  const chain = (l: number) => {
    let [bias, variance] = [1, start]; // of (x - mean): bias is the factor on the start's offset
    for (let i = 0; i + 1 < sigmas.length; i++) {
      const [s2, n2] = [sigmas[i]! ** 2, sigmas[i + 1]! ** 2];
      const factor = n2 / s2 + (1 - n2 / s2) * (l / (l + s2));
      bias *= factor;
      variance = factor ** 2 * variance + (n2 / s2) * (s2 - n2);
    }
    return { bias, variance };
  };
  const [a, b, , d] = spectral(cov, (l) => chain(l).variance);
  const [e, f, g, h] = spectral(cov, (l) => chain(l).bias);
  return {
    mean: [mean[0] - e * mean[0] - f * mean[1], mean[1] - g * mean[0] - h * mean[1]],
    cov: [a, b, d],
  };
}

/** E[x0 | x] of a mixture, element by element; x of any shape. */
export function mixtureDenoiser(mixture: Mixture): Denoiser {
  return (x, sigma) =>
    tf.tidy(() => {
      const logits = mixture.map(({ weight, mean, std }) => {
        const variance = std * std + sigma * sigma;
        const square = tf.square(tf.sub(x, mean));
        return tf.sub(Math.log(weight) - Math.log(variance) / 2, tf.div(square, 2 * variance));
      });
      const shares = tf.softmax(tf.stack(logits, -1), -1); // [..., K]
      const means = mixture.map(({ mean, std }) => {
        const gain = (std * std) / (std * std + sigma * sigma);
        return tf.add(mean, tf.mul(tf.sub(x, mean), gain));
      });
      return tf.sum(tf.mul(shares, tf.stack(means, -1)), -1);
    });
}

/**
 * Where the probability-flow ODE takes one value of a mixture: in one dimension the flow keeps the order of points, hence
 * each point its quantile. Found by bisection.
 */
export function mixtureEndPoint(mixture: Mixture, x: number, sigma: number): number {
  const quantile = mixtureCdf(mixture, x, sigma);
  let [low, high] = [-20, 20];
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (mixtureCdf(mixture, middle, 0) < quantile) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

function mixtureCdf(mixture: Mixture, x: number, sigma: number): number {
  return mixture.reduce(
    (sum, { weight, mean, std }) => sum + weight * normalCdf((x - mean) / Math.hypot(std, sigma)),
    0,
  );
}

/** By the series of Marsaglia (J. Stat. Software 11(4), 2004): full double precision for the |z| < 7 used here. */
function normalCdf(z: number): number {
  let [sum, term] = [z, z];
  for (let n = 3; Math.abs(term) > 1e-18 * Math.abs(sum); n += 2) {
    term *= (z * z) / n;
    sum += term;
  }
  return 0.5 + sum * Math.exp((-z * z) / 2 - 0.5 * Math.log(2 * Math.PI));
}

/** Noise levels from `sigmaMax` to 0 whose roots of degree `power` are evenly spaced: smooth, so that an order can be measured. */
export function smoothSigmas(sigmaMax: number, steps: number, power = 2): Float64Array {
  return Float64Array.from({ length: steps + 1 }, (_, i) => sigmaMax * (1 - i / steps) ** power);
}

/**
 * The same levels with the first step cut into 11, each about twice the one before: so the first steps of a multistep method, which
 * have little to look back on and are of low order, are too short to be seen in the error.
 */
export function withShortStart([first, ...rest]: Float64Array): Float64Array {
  const start = Array.from({ length: 10 }, (_, k) => first! - (first! - rest[0]!) * 2 ** (k - 10));
  return Float64Array.from([first!, ...start, ...rest]);
}

/** Slope of log(error) against log(steps), by least squares, with the sign turned: the order of a method. */
export function measuredOrder(steps: readonly number[], errors: readonly number[]): number {
  const xs = steps.map(Math.log);
  const ys = errors.map(Math.log);
  const meanOf = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
  const [mx, my] = [meanOf(xs), meanOf(ys)];
  const covariance = xs.reduce((sum, x, i) => sum + (x - mx) * (ys[i]! - my), 0);
  return -covariance / xs.reduce((sum, x) => sum + (x - mx) ** 2, 0);
}
