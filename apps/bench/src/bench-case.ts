import type * as tf from '@tensorflow/tfjs-core';

/** One thing that is timed. */
export type BenchCase = {
  readonly op: string;
  readonly part: 'nn' | 'model';
  /** Sizes, for people. */
  readonly shape: string;
  /** Floating-point operations of a run; a multiply-add counts 2, products as in the plain sum. */
  readonly flops: number;
  /** Least bytes that a run moves: each tensor in and out once. null where there is no such number. */
  readonly bytes: number | null;
  /** What the baseline is on the running backend, for people. */
  readonly baseline: () => string;
  /** The same in PyTorch: a function of pytorch/, and its arguments. */
  readonly pytorch: PyTorchTask;
  /** Allocates what a run needs on the running backend. */
  readonly create: () => Promise<Work>;
};

export type PyTorchTask = {
  readonly make: string;
  readonly args: Readonly<Record<string, unknown>>;
};

/** Both sides of a comparison. A run gives tensors that the caller disposes, equal on both sides up to rounding. */
export type Work = {
  readonly ours: () => tf.Tensor[];
  readonly plain: () => tf.Tensor[];
  dispose(): void;
};
