import { createHash } from 'node:crypto';
import { initAutoencoder, type AutoencoderConfig } from '@sgdiff/latent-autoencoder';
import { initUnet, type UnetConfig } from '@sgdiff/diffusion-unet';
import { createRng, disposeParams, mapParams, paramsToSafetensors, type ParamTree, type Rng } from '@sgdiff/nn';
import { createSchedule } from '@sgdiff/sampler';
import { initSgEncoder, type SgEncoderConfig } from '@sgdiff/sg-encoder';
import { createVocabulary, vocabularyToJson } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import type { LatentDrawer } from '../draw-latents';
import { MODEL_FORMAT, type ModelManifest } from '../manifest';

export type ModelFiles = Record<string, Uint8Array>;

const vocabulary = createVocabulary(['sky', 'grass', 'sheep', 'zebra', 'tree'], ['above', 'standing on', 'behind']);

const encoder: SgEncoderConfig = {
  objectCount: vocabulary.objects.length,
  predicateCount: vocabulary.predicates.length,
  width: 4,
  layers: 1,
  hiddenWidth: 6,
  globalWidth: 5,
  maxTriples: 8,
  norm: 'layer',
};

const autoencoder: AutoencoderConfig = {
  imageChannels: 3,
  stem: 2,
  baseChannels: 4,
  channelMults: [1],
  numResBlocks: 1,
  attentionLevels: [],
  middle: 'none',
  zChannels: 2,
  embedDim: 2,
  codebookSize: 256,
  groups: 2,
};

const unet: UnetConfig = {
  inChannels: 2,
  outChannels: 2,
  modelChannels: 4,
  channelMults: [1, 2],
  numResBlocks: 1,
  attentionFactors: [1],
  headChannels: 4,
  transformerDepth: 1,
  contextWidth: 6,
  localWidth: 12,
  globalWidth: 5,
  globalInTime: true,
  maskPadding: true,
  nullToken: true,
  contextNorm: true,
  groups: 2,
};

export const tinyManifest: Omit<ModelManifest, 'files'> = {
  format: MODEL_FORMAT,
  name: 'tiny',
  licence: 'Apache-2.0',
  imageSize: 8,
  schedule: { kind: 'sqrt-linear', timesteps: 50, betaStart: 0.0015, betaEnd: 0.3 },
  prediction: 'v',
  latentScale: 0.8,
  defaults: { sampler: 'dpm-solver++2m', steps: 3, guidanceScale: 2 },
  parts: { encoder, autoencoder, unet },
};

/** A model folder of random weights that draws 8×8 pictures. Needs a backend; leaves no tensors. */
export async function tinyModel(manifest: Omit<ModelManifest, 'files'> = tinyManifest): Promise<ModelFiles> {
  const { parts } = manifest;
  return withManifest(
    {
      'vocab.json': encodeJson(vocabularyToJson(vocabulary)),
      'encoder.safetensors': await randomWeights('encoder', (rng) => initSgEncoder(parts.encoder, rng)),
      'autoencoder.safetensors': await randomWeights('autoencoder', (rng) => initAutoencoder(parts.autoencoder, rng)),
      'unet.safetensors': await randomWeights('unet', (rng) => initUnet(parts.unet, rng)),
    },
    manifest,
  );
}

/** The files with a `model.json` that lists them; `manifest` may be wrong on purpose. */
export function withManifest(files: ModelFiles, manifest: object = tinyManifest): ModelFiles {
  const others = Object.entries(files).filter(([file]) => file !== 'model.json');
  const list = others.map(([file, bytes]) => [file, { sha256: sha256(bytes), bytes: bytes.length }]);
  return { ...Object.fromEntries(others), 'model.json': encodeJson({ ...manifest, files: Object.fromEntries(list) }) };
}

export function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The parts of the tiny model that draw latents. The caller disposes the params of encoder and U-Net. */
export function tinyDrawer(): LatentDrawer {
  return {
    vocabulary,
    encoder: { params: randomParams('encoder', (rng) => initSgEncoder(encoder, rng)), config: encoder },
    unet: { params: randomParams('unet', (rng) => initUnet(unet, rng)), config: unet },
    schedule: createSchedule(tinyManifest.schedule),
    prediction: tinyManifest.prediction,
    latentShape: [4, 4, unet.inChannels],
  };
}

async function randomWeights(name: string, init: (rng: Rng) => ParamTree): Promise<Uint8Array> {
  const params = randomParams(name, init);
  try {
    return await paramsToSafetensors(params, { dtype: 'F16' });
  } finally {
    disposeParams(params);
  }
}

/** Moved away from their start, at which parts of a network are zero and would hide what is before them. */
function randomParams<T extends ParamTree>(name: string, init: (rng: Rng) => T): T {
  const rng = createRng('tiny-model', name);
  const fresh = init(rng);
  const moved = mapParams(fresh, (tensor, path) =>
    tf.tidy(() => {
      const scale = path.startsWith('quantize') ? 1 : 0.25;
      const noise = rng.fork('noise', path).fillNormal(new Float32Array(tensor.size));
      return tf.add(tensor, tf.mul(tf.tensor(noise, tensor.shape), scale));
    }),
  );
  disposeParams(fresh);
  return moved;
}
