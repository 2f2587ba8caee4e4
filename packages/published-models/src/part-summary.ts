import { unetTensors } from '@sgdiff/diffusion-unet';
import { autoencoderTensors } from '@sgdiff/latent-autoencoder';
import { lpipsTensors } from '@sgdiff/latent-autoencoder/train';
import { clipTensors } from '@sgdiff/masked-contrastive-pretrain';
import { inceptionTensors } from '@sgdiff/metrics';
import type { TensorEntry } from '@sgdiff/nn';
import { sgEncoderTensors } from '@sgdiff/sg-encoder';
import type { PartConfigs } from './kinds';
import type { ModelParts } from './presets';

export type PartSize = { readonly parameters: number; readonly tensors: number };

/**
 * How large each part of a model is: numbers and tensors, without making any.
 *
 * @param model A preset's manifest, or any `model.json`.
 */
export function partSummary(model: {
  readonly parts: ModelParts;
}): Readonly<Record<'unet' | 'encoder' | 'autoencoder', PartSize>> {
  const { unet, encoder, autoencoder } = model.parts;
  return {
    unet: sizeOf(partTensors('unet', unet)),
    encoder: sizeOf(partTensors('encoder', encoder)),
    autoencoder: sizeOf(partTensors('autoencoder', autoencoder)),
  };
}

/** Every weight of a part by path and shape, without making any. */
export function partTensors<K extends keyof PartConfigs>(kind: K, config: PartConfigs[K]): TensorEntry[] {
  return LISTS[kind](config);
}

const LISTS: { readonly [K in keyof PartConfigs]: (config: PartConfigs[K]) => TensorEntry[] } = {
  encoder: sgEncoderTensors,
  autoencoder: autoencoderTensors,
  unet: unetTensors,
  'image-encoder': clipTensors,
  inception: inceptionTensors,
  perceptual: lpipsTensors,
};

/** Numbers and tensors of a list. */
export function sizeOf(entries: readonly TensorEntry[]): PartSize {
  const parameters = entries.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
  return { parameters, tensors: entries.length };
}
