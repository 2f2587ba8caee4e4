// lambda is -log(sigma), half the log signal-to-noise ratio; h is its growth over a step, B the paper's B(h).
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectNumber, expectOneOf } from './errors';
import { exponentialMoment, polynomialWeights } from './quadrature';
import { lastState, runSolver, type SampleOptions, type SamplingStep, type Solver } from './solver';

/** The paper's B(h): 'bh1' is h, 'bh2' is e^h - 1. */
export type UniPcVariant = 'bh1' | 'bh2';

const VARIANTS: readonly UniPcVariant[] = ['bh1', 'bh2'];

export type UniPcOptions = SampleOptions & {
  /** How many predictions the predictor draws on; the corrector draws on one more. Default 2. */
  readonly order?: 1 | 2 | 3;
  /** Default 'bh2'. Makes a difference only to a predictor of order 2 and a corrector of order 1. */
  readonly variant?: UniPcVariant;
  /** Default true. Without it the method is UniP: of order 1 DDIM with eta 0, of order 2 with 'bh2' DPM-Solver++ 2M. */
  readonly corrector?: boolean;
};

/**
 * UniPC, predictor and corrector, in its form for data prediction: each step is predicted from the last `order` predictions of
 * x0, and corrected at the start of the next with the prediction made there. One network call per step; deterministic.
 *
 * Of order `order + 1`, without corrector `order`, but for the first steps, which have less to look back on. The last step ends
 * at sigma 0, where lambda is infinite: it is of first order, and those before it fall towards that one by one, as in the
 * authors' code. The `x` of a step is the predicted one. The correction is added to it when the next step begins, so that an
 * `x` put in its place is kept.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2302.04867, algorithms 1 (UniC) and 2 (UniP), for data prediction as in its appendix, divided by alpha_t.
 */
export async function sampleUniPc<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: UniPcOptions = {},
): Promise<T> {
  return lastState(runSolver(uniPc, 'sampleUniPc', denoiser, xT, sigmas, options));
}

/** `sampleUniPc` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateUniPc<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: UniPcOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(uniPc, 'iterateUniPc', denoiser, xT, sigmas, options);
}

function uniPc(name: string, { order = 2, variant = 'bh2', corrector = true }: UniPcOptions): Solver {
  expectNumber(name, 'order', order, (value) => [1, 2, 3].includes(value), '1, 2 or 3');
  expectOneOf(name, 'variant', variant, VARIANTS);

  /** Weights of predictions of x0 in a step of length h that starts at 0 and ends at 1, for nodes on that scale. */
  function weightsOf(nodes: readonly number[], h: number): number[] {
    const moments = nodes.map((_, power) => h * exponentialMoment(power, -h)); // of 1, v, v^2, v^3
    if (nodes.length === 2) moments[1] = (variant === 'bh1' ? h : -Math.expm1(-h)) / 2; // the paper's simplification
    return polynomialWeights(nodes, moments);
  }

  return {
    settings: { order, variant, corrector },
    remembers: corrector ? order : order - 1,
    step({ x, memory }, { index, sigmas, sigma, sigmaNext, denoise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      const last = sigmas.length - 1;
      /** Order of the step at `at`, with `known` predictions: it falls towards an end at 0, where h grows without bound. */
      const orderAt = (at: number, known: number) => Math.min(order, known, sigmas[last] === 0 ? last - at : order);
      /** Length in lambda of the step at `at`, and where on its scale the levels of the `count` newest predictions lie. */
      const scaleOf = (at: number, count: number) => {
        const h = Math.log(sigmas[at]! / sigmas[at + 1]!);
        return { h, nodes: Array.from({ length: count }, (_, back) => Math.log(sigmas[at]! / sigmas[at - back]!) / h) };
      };
      const history = [x0, ...memory]; // newest first
      const terms = (weights: readonly number[]) => weights.map((weight, back) => tf.mul(history[back]!, weight));

      let corrected = x;
      if (corrector && memory.length > 0) {
        // What the corrector makes of the last step, less what the predictor made of it: x may have been changed since.
        const { h, nodes } = scaleOf(index - 1, orderAt(index - 1, memory.length));
        const [ofX0, ...ofMemory] = weightsOf([1, ...nodes], h);
        const predicted = weightsOf(nodes, h);
        corrected = tf.addN([x, ...terms([ofX0!, ...ofMemory.map((weight, back) => weight - predicted[back]!)])]);
      }
      const { h, nodes } = scaleOf(index, orderAt(index, history.length));
      const next = tf.addN([tf.mul(corrected, sigmaNext / sigma), ...terms(weightsOf(nodes, h))]);
      return { x: next, x0, memory: history.slice(0, corrector ? order : order - 1) };
    },
  };
}
