import { mapNumbers, type Numbers } from './numbers';

/** The Euclidean norm of all numbers together. */
export function globalNorm(tensors: readonly Numbers[]): number {
  return Math.sqrt(tensors.reduce((total, { data }) => total + data.reduce((sum, g) => sum + g * g, 0), 0));
}

/** All tensors scaled by one factor to a common norm of at most `maxNorm`. */
export function clipByGlobalNorm(tensors: readonly Numbers[], maxNorm: number): Numbers[] {
  const factor = Math.min(1, maxNorm / globalNorm(tensors));
  return tensors.map((tensor) => mapNumbers(tensor, (g) => g * factor));
}

export type AdamWState = { readonly param: Numbers; readonly m: Numbers; readonly v: Numbers };

export type AdamWSettings = {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
};

/** One step of one weight: arXiv:1711.05101, algorithm 2, lines 6 to 12, with the decay times the learning rate. @param step Counts from 1. */
export function adamWStep(
  { param, m, v }: AdamWState,
  grad: Numbers,
  step: number,
  settings: AdamWSettings,
): AdamWState {
  const { learningRate, beta1, beta2, eps, weightDecay } = settings;
  const m1 = mapNumbers(m, (value, i) => beta1 * value + (1 - beta1) * grad.data[i]);
  const v1 = mapNumbers(v, (value, i) => beta2 * value + (1 - beta2) * grad.data[i] ** 2);
  const next = mapNumbers(param, (value, i) => {
    const mHat = m1.data[i] / (1 - beta1 ** step);
    const vHat = v1.data[i] / (1 - beta2 ** step);
    return value - learningRate * (mHat / (Math.sqrt(vHat) + eps) + weightDecay * value);
  });
  return { param: next, m: m1, v: v1 };
}

/** `rate average + (1 - rate) param`. */
export function emaStep(average: Numbers, param: Numbers, rate: number): Numbers {
  return mapNumbers(average, (value, i) => rate * value + (1 - rate) * param.data[i]);
}
