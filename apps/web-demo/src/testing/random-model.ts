import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pictureBookVocabulary } from '@sgdiff/datasets';
import { initUnet, type UnetConfig } from '@sgdiff/diffusion-unet';
import { initAutoencoder, type AutoencoderConfig } from '@sgdiff/latent-autoencoder';
import { createRng, disposeParams, mapParams, paramsToSafetensors, type ParamTree, type Rng } from '@sgdiff/nn';
import { MODEL_FORMAT, type ModelFile, type ModelManifest } from '@sgdiff/pipeline';
import { initSgEncoder, type SgEncoderConfig } from '@sgdiff/sg-encoder';
import { vocabularyToJson } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';

const vocabulary = pictureBookVocabulary();

const encoder: SgEncoderConfig = {
  objectCount: vocabulary.objects.length,
  predicateCount: vocabulary.predicates.length,
  width: 8,
  layers: 1,
  hiddenWidth: 16,
  globalWidth: 16,
  maxTriples: 32,
  norm: 'layer',
  residual: true,
};

const autoencoder: AutoencoderConfig = {
  imageChannels: 3,
  stem: 2,
  baseChannels: 8,
  channelMults: [1, 1],
  numResBlocks: 1,
  decoderResBlocks: 1,
  attentionLevels: [],
  middle: 'none',
  zChannels: 4,
  embedDim: 4,
  codebookSize: 64,
  groups: 4,
};

const unet: UnetConfig = {
  inChannels: 4,
  outChannels: 4,
  modelChannels: 8,
  channelMults: [1, 2],
  numResBlocks: 1,
  attentionFactors: [2],
  headChannels: 8,
  transformerDepth: 1,
  contextWidth: 16,
  localWidth: 24,
  globalWidth: 16,
  globalInTime: true,
  maskPadding: true,
  nullToken: true,
  contextNorm: true,
  groups: 4,
};

/**
 * Writes a model folder of the shipped model's form (words, 64 px, latents of 16 × 16 × 4), tiny and with random
 * weights: it draws coloured noise, at once. Needs a tfjs backend.
 */
export async function writeRandomModel(folder: string, seed = 1): Promise<ModelManifest> {
  const rng = createRng('web-demo', 'random-model', seed);
  const contents: Record<string, Uint8Array> = {
    'vocab.json': new TextEncoder().encode(JSON.stringify(vocabularyToJson(vocabulary))),
    'encoder.safetensors': await randomWeights(initSgEncoder(encoder, rng), rng),
    'autoencoder.safetensors': await randomWeights(initAutoencoder(autoencoder, rng), rng),
    'unet.safetensors': await randomWeights(initUnet(unet, rng), rng),
  };
  const manifest: ModelManifest = {
    format: MODEL_FORMAT,
    name: 'random',
    licence: 'Apache-2.0',
    description: 'Random weights for tests.',
    imageSize: 64,
    schedule: { kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 },
    prediction: 'v',
    latentScale: 1,
    defaults: { sampler: 'dpm-solver++2m', steps: 20, guidanceScale: 2 },
    parts: { encoder, autoencoder, unet },
    files: Object.fromEntries(Object.entries(contents).map(([file, bytes]) => [file, describeFile(bytes)])),
  };
  mkdirSync(folder, { recursive: true });
  for (const [file, bytes] of Object.entries(contents)) writeFileSync(join(folder, file), bytes);
  writeFileSync(join(folder, 'model.json'), JSON.stringify(manifest, null, 2));
  return manifest;
}

/** Fresh weights with noise on top, since layers that start at zero would let nothing of the graph through. */
async function randomWeights(fresh: ParamTree, rng: Rng): Promise<Uint8Array> {
  const noisy = mapParams(fresh, (tensor, path) => {
    const noise = rng.fork(path).fillNormal(new Float32Array(tensor.size));
    return tf.tidy(() => tf.add(tensor, tf.mul(tf.tensor(noise, tensor.shape), 0.1)));
  });
  try {
    return await paramsToSafetensors(noisy, { dtype: 'F16' });
  } finally {
    disposeParams(fresh);
    disposeParams(noisy);
  }
}

function describeFile(bytes: Uint8Array): ModelFile {
  return { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
}
