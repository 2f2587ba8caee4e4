import {
  clipByGlobalNorm,
  createAdamW,
  createEma,
  createHostAdamW,
  createHostEma,
  disposeParams,
  firstNonFinite,
  flattenParams,
  mapParams,
  restoreParams,
  type AdamWOptions,
  type EmaOptions,
  type ParamTree,
} from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { assignFlat, writeFlat, type Workers } from './data-parallel';

export type OptimiserConfig = {
  readonly learningRate: number;
  /** Steps of linear warm-up from 0. */
  readonly warmupSteps: number;
  /** Over the last part of the run, this share of its steps, the rate falls on a cosine … */
  readonly decayShare: number;
  /** … to this share of `learningRate` at the last step. */
  readonly finalShare: number;
  readonly weightDecay: number;
  /** Decay of the mean of the gradients; 0.9. */
  readonly beta1?: number;
  /** Decay of the mean of their squares; 0.999. */
  readonly beta2?: number;
  readonly clipNorm: number;
  /** Decay of the moving average of the weights; 0 keeps none. */
  readonly emaDecay: number;
};

/** What is left of an update that was refused since a number was not finite. */
export type UpdateResult = { readonly norm: number; /** First gradient that is not finite. */ readonly nonFinite?: string };

/** Turns gradients into new weights and their moving average. */
export type Optimiser<T extends ParamTree> = {
  /** Called before the gradients of a step are computed here. */
  begin(step: number): void;
  /** Updates the variables, unless the norm of the gradients is not finite: then nothing changes. Borrows the gradients. */
  update(grads: Readonly<Record<string, tf.Tensor>>, learningRate: number): Promise<UpdateResult>;
  /** To be called after the variables were assigned from elsewhere. */
  refresh(): Promise<void>;
  /** Averaged weights, or the variables themselves if no average is kept. Borrowed, valid until the next update. */
  averaged(): T;
  /** `params/…`, `adam/…` and `ema/…` for a checkpoint, the same from every optimiser. The caller disposes the tensors. */
  state(): Record<string, tf.Tensor>;
  /** Continues from a saved state. Borrows it. */
  loadState(record: Readonly<Record<string, tf.Tensor>>): void;
  dispose(): void;
};

/** Linear warm-up, a constant stretch, then half a cosine down to `finalShare`. */
export function learningRateAt(config: OptimiserConfig, step: number, steps: number): number {
  const { learningRate, warmupSteps, decayShare, finalShare } = config;
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const decaySteps = Math.min(steps * decayShare, steps - warmupSteps);
  const done = (step - (steps - decaySteps)) / Math.max(1, decaySteps);
  if (done <= 0) return learningRate;
  return learningRate * (finalShare + (1 - finalShare) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, done))));
}

/** Everything on the backend, for gradients of one thread. Borrows the variables and assigns them. */
export function createBackendOptimiser<T extends ParamTree>(variables: T, config: OptimiserConfig): Optimiser<T> {
  const adam = createAdamW(variables, adamOptions(config));
  const ema = config.emaDecay > 0 ? createEma(variables, emaOptions(config)) : undefined;
  return {
    begin: () => undefined,
    async update(grads, learningRate) {
      const clipped = clipByGlobalNorm(grads, config.clipNorm);
      try {
        const norm = (await clipped.norm.data())[0];
        // Before the weights change, so that every checkpoint is sound.
        if (!Number.isFinite(norm)) return refused(norm, await firstNonFinite(grads));
        adam.step(clipped.grads, { learningRate });
        ema?.update(variables);
        return { norm };
      } finally {
        tf.dispose([clipped.grads, clipped.norm]);
      }
    },
    refresh: async () => undefined, // AdamW and the average read the variables anew in each step
    averaged: () => (ema ? (ema.params as T) : variables),
    state: () => ({ ...copies(variables), ...prefixed('adam', adam.state()), ...(ema ? prefixed('ema', ema.state()) : {}) }),
    loadState(record) {
      assign(variables, withPrefix('params', record));
      adam.loadState(withPrefix('adam', record));
      ema?.loadState(withPrefix('ema', record));
    },
    dispose() {
      adam.dispose();
      ema?.dispose();
    },
  };
}

/**
 * For gradients that come from workers through shared memory: weights, moments and average are plain arrays there, and
 * only the new weights go to the backend. Borrows the variables and assigns them.
 */
export async function createSharedOptimiser<T extends ParamTree>(variables: T, config: OptimiserConfig, workers: Workers): Promise<Optimiser<T>> {
  const entries = flattenParams(variables);
  const tensors = entries.map(({ tensor }) => tensor as tf.Variable);
  const size = tensors.reduce((sum, tensor) => sum + tensor.size, 0);
  const weights = new Float32Array(new SharedArrayBuffer(size * 4));
  await writeFlat(tensors, weights);
  const adam = createHostAdamW(variables, weights, adamOptions(config));
  const ema = config.emaDecay > 0 ? createHostEma(variables, weights, emaOptions(config)) : undefined;
  const mean = new Float32Array(size);
  let averaged: T | undefined;
  const forget = (): void => {
    if (averaged) disposeParams(averaged);
    averaged = undefined;
  };
  return {
    begin: (step) => workers.begin(step, weights),
    async update(grads, learningRate) {
      await writeFlat(entries.map(({ path }) => grads[path]), mean);
      meanInPlace(mean, await workers.gradients());
      const norm = adam.step(mean, { learningRate, maxNorm: config.clipNorm });
      if (!Number.isFinite(norm)) return refused(norm, nameAt(entries, mean.findIndex((value) => !Number.isFinite(value))));
      assignFlat(tensors, weights);
      ema?.update(weights);
      forget();
      return { norm };
    },
    refresh: () => writeFlat(tensors, weights),
    averaged() {
      if (!ema) return variables;
      if (!averaged) {
        const offsets = new Map<string, number>();
        entries.reduce((at, { path, tensor }) => (offsets.set(path, at), at + tensor.size), 0);
        averaged = mapParams(variables, (tensor, path) => {
          const at = offsets.get(path)!;
          return tf.tensor(ema.averages.slice(at, at + tensor.size), tensor.shape);
        });
      }
      return averaged;
    },
    state: () => ({ ...copies(variables), ...prefixed('adam', adam.state()), ...(ema ? prefixed('ema', ema.state()) : {}) }),
    loadState(record) {
      assign(variables, withPrefix('params', record));
      let at = 0;
      for (const tensor of tensors) {
        weights.set(tensor.dataSync(), at);
        at += tensor.size;
      }
      adam.loadState(withPrefix('adam', record));
      ema?.loadState(withPrefix('ema', record));
      forget();
    },
    dispose: forget,
  };
}

/** The mean of `own` and the others, into `own`. */
export function meanInPlace(own: Float32Array, others: readonly Float32Array[]): void {
  const share = 1 / (others.length + 1);
  for (let i = 0; i < own.length; i++) {
    let sum = own[i];
    for (const other of others) sum += other[i];
    own[i] = sum * share;
  }
}

function adamOptions({ learningRate, weightDecay, beta1, beta2 }: OptimiserConfig): AdamWOptions {
  return { learningRate, weightDecay, beta1, beta2, decayFilter: (_path, tensor) => tensor.rank > 1 };
}

function emaOptions({ emaDecay }: OptimiserConfig): EmaOptions {
  return { decay: emaDecay, warmup: true };
}

function refused(norm: number, nonFinite: string | undefined): UpdateResult {
  return { norm, ...(nonFinite === undefined ? {} : { nonFinite }) };
}

/** The path of the weight that the position belongs to. */
function nameAt(entries: readonly { readonly path: string; readonly tensor: tf.Tensor }[], position: number): string | undefined {
  let end = 0;
  if (position < 0) return undefined;
  return entries.find(({ tensor }) => position < (end += tensor.size))?.path;
}

function assign(variables: ParamTree, record: Readonly<Record<string, tf.Tensor>>): void {
  const weights = restoreParams(variables, record);
  const byPath = new Map(flattenParams(weights).map(({ path, tensor }) => [path, tensor]));
  for (const { path, tensor } of flattenParams(variables)) (tensor as tf.Variable).assign(byPath.get(path)!);
  disposeParams(weights);
}

function copies(variables: ParamTree): Record<string, tf.Tensor> {
  return Object.fromEntries(flattenParams(variables).map(({ path, tensor }) => [`params/${path}`, tf.clone(tensor)]));
}

/** `a` as `prefix/a`. */
export function prefixed(prefix: string, record: Record<string, tf.Tensor>): Record<string, tf.Tensor> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [`${prefix}/${key}`, value]));
}

/** Those that are named `prefix/a`, as `a`. */
export function withPrefix(prefix: string, tensors: Readonly<Record<string, tf.Tensor>>): Record<string, tf.Tensor> {
  const start = `${prefix}/`;
  return Object.fromEntries(
    Object.entries(tensors).filter(([key]) => key.startsWith(start)).map(([key, value]) => [key.slice(start.length), value]),
  );
}
