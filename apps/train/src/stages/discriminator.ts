import {
  initPatchDiscriminator,
  initRunningStatistics,
  type FirstStageGradients,
  type FirstStageOptions,
} from '@sgdiff/latent-autoencoder/train';
import { createRng, disposeParams, restoreParams, toVariables } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import type { PictureBookConfig } from '../configs/config';
import { badNumbers, type Companion } from '../training/loop';
import { createBackendOptimiser, learningRateAt, prefixed, withPrefix, type OptimiserConfig } from '../training/optimiser';

type Judged = NonNullable<FirstStageGradients['discriminator']>;

/** The discriminator of the autoencoder's stage, with an optimiser of its own that follows the stage's schedule. */
export type Discriminator = Companion & {
  /** The term it adds to the loss of a step; undefined before its first one. Borrowed. */
  term(step: number): FirstStageOptions['adversarial'];
  /** What a step found out about it, taken over, for `learn`. */
  remember(judged: Judged): void;
  /** Takes the step remembered, if there is one. @throws CliError if a gradient is not finite. */
  learn(step: number): Promise<void>;
};

export function createDiscriminator(config: PictureBookConfig['autoencoder']): Discriminator {
  const { adversarial, seed, steps, model } = config;
  if (!adversarial) throw new Error('createDiscriminator: the config has no adversarial term.');
  const { weight, startStep, layers, channels, learningRate, beta1, beta2 } = adversarial;
  const sizes = { imageChannels: model.imageChannels, layers, channels };
  const settings: OptimiserConfig = { ...config.optimiser, learningRate, beta1, beta2, weightDecay: 0, emaDecay: 0 };
  const fresh = initPatchDiscriminator(sizes, createRng(seed, 'discriminator'));
  const params = toVariables(fresh);
  disposeParams(fresh);
  const optimiser = createBackendOptimiser(params, settings);
  let running = initRunningStatistics(sizes);
  let judged: Judged | undefined;
  const forget = (): void => {
    if (judged) tf.dispose([judged.loss, judged.grads, judged.running]);
    judged = undefined;
  };
  return {
    term: (step) => (step < startStep ? undefined : { params, running, weight }),
    remember(next) {
      forget();
      judged = next;
    },
    async learn(step) {
      if (!judged) return;
      const { norm, nonFinite } = await optimiser.update(judged.grads, learningRateAt(settings, step, steps));
      if (!Number.isFinite(norm)) {
        throw badNumbers('autoencoder', step, 0, norm, nonFinite && `discriminator.${nonFinite}`, 'adversarial.learningRate');
      }
      tf.dispose(running);
      running = judged.running;
      judged = { ...judged, running: [] };
      forget();
    },
    state: () => ({
      ...optimiser.state(),
      ...prefixed('running', Object.fromEntries(running.flatMap((statistics, i) => Object.entries(statistics).map(([name, tensor]) => [`${i}.${name}`, tf.clone(tensor)])))),
    }),
    loadState(record) {
      optimiser.loadState(record);
      const loaded = restoreParams(running, withPrefix('running', record));
      tf.dispose(running);
      running = loaded;
    },
    dispose() {
      forget();
      optimiser.dispose();
      disposeParams(params);
      tf.dispose(running);
      running = [];
    },
  };
}
