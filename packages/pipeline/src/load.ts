import {
  autoencoderTensors,
  decode,
  encode,
  downsamplingFactor,
  type AutoencoderParams,
} from '@sgdiff/latent-autoencoder';
import { unetTensors, type UnetParams } from '@sgdiff/diffusion-unet';
import { disposeParams, type ParamTree, type TensorEntry } from '@sgdiff/nn';
import { createSchedule } from '@sgdiff/sampler';
import { sgEncoderTensors, type SgEncoderConfig, type SgEncoderParams } from '@sgdiff/sg-encoder';
import { parseVocabulary, VocabularyError, type Vocabulary } from '@sgdiff/sg-schema';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import * as tf from '@tensorflow/tfjs-core';
import { ModelError } from './errors';
import { parseManifest, type ModelManifest } from './manifest';
import { readModelFile } from './model-files';
import { urlSource, type ModelSource } from './model-source';
import { createPipeline, type Pipeline } from './pipeline';
import { readPixels } from './pixels';
import { requireBackend } from './require-backend';
import { loadWeights, type WeightsOptions } from './weights';

export type LoadOptions = {
  /** Called as the weights come in: how many of all their bytes are there. */
  readonly onProgress?: (progress: { readonly loadedBytes: number; readonly totalBytes: number }) => void;
};

/**
 * Loads a model: checks every file against the manifest's hash, the parts against each other, and the weights against the
 * configs. The weights go to the backend one tensor at a time, so that there is hardly more at the peak than the weights themselves.
 *
 * @param source A model folder: `urlSource`, `memorySource`, from `@sgdiff/pipeline/node` a directory or a package; a string is a URL.
 * @returns The pipeline. The caller disposes it.
 * @throws ModelError naming the file, RequestError when no tfjs backend can be started; nothing stays allocated then.
 */
export async function loadPipeline(source: ModelSource | string, options: LoadOptions = {}): Promise<Pipeline> {
  await requireBackend('loadPipeline');
  const folder = typeof source === 'string' ? urlSource(source) : source;
  const manifestBytes = await folder.read('model.json');
  const manifest = parseManifest(new TextDecoder().decode(manifestBytes), `${folder.name}/model.json`);
  const { parts } = manifest;
  const vocabulary = await loadVocabulary(folder, manifest, parts.encoder);

  const loaded: ParamTree[] = [];
  const free = (): void => {
    for (const params of loaded.splice(0)) disposeParams(params);
  };
  const load = async <T extends ParamTree>(file: WeightFile, list: () => readonly TensorEntry[]): Promise<T> => {
    const params = await loadWeights<T>(folder, manifest, file, list, progressOf(manifest, options));
    loaded.push(params);
    return params;
  };
  try {
    const encoder = await load<SgEncoderParams>('encoder.safetensors', () => sgEncoderTensors(parts.encoder));
    const autoencoder = await load<AutoencoderParams>('autoencoder.safetensors', () =>
      autoencoderTensors(parts.autoencoder),
    );
    const unet = await load<UnetParams>('unet.safetensors', () => unetTensors(parts.unet));
    const side = manifest.imageSize / downsamplingFactor(parts.autoencoder);
    return createPipeline({
      manifest,
      modelHash: bytesToHex(sha256(manifestBytes)),
      drawer: {
        vocabulary,
        encoder: { params: encoder, config: parts.encoder },
        unet: { params: unet, config: parts.unet },
        schedule: createSchedule(manifest.schedule),
        prediction: manifest.prediction,
        latentShape: [side, side, parts.unet.inChannels],
      },
      toLatents: (images) =>
        tf.tidy(() => tf.mul(encode(autoencoder, parts.autoencoder, images), manifest.latentScale)),
      toPixels: (z) => readPixels(() => decode(autoencoder, parts.autoencoder, tf.div(z, manifest.latentScale))),
      free,
    });
  } catch (error) {
    free();
    throw error;
  }
}

const WEIGHT_FILES = ['encoder.safetensors', 'autoencoder.safetensors', 'unet.safetensors'] as const;
type WeightFile = (typeof WEIGHT_FILES)[number];

/** Counts over the files, which are loaded in their order. */
function progressOf({ files }: ModelManifest, { onProgress }: LoadOptions): WeightsOptions {
  if (!onProgress) return {};
  const totalBytes = WEIGHT_FILES.reduce((sum, file) => sum + files[file]!.bytes, 0);
  return {
    onBytes(file, bytes) {
      const before = WEIGHT_FILES.slice(0, WEIGHT_FILES.indexOf(file as WeightFile));
      onProgress({ loadedBytes: before.reduce((sum, name) => sum + files[name]!.bytes, bytes), totalBytes });
    },
  };
}

async function loadVocabulary(
  folder: ModelSource,
  manifest: ModelManifest,
  encoder: SgEncoderConfig,
): Promise<Vocabulary> {
  const where = `${folder.name}/vocab.json`;
  const text = new TextDecoder().decode(await readModelFile(folder, manifest, 'vocab.json'));
  let vocabulary: Vocabulary;
  try {
    vocabulary = parseVocabulary(text);
  } catch (cause) {
    if (!(cause instanceof VocabularyError)) throw cause;
    throw new ModelError(`Model file ${where} is no vocabulary: ${cause.message}`, {
      code: 'invalid_vocabulary',
      file: 'vocab.json',
      cause,
    });
  }
  const counts = [
    ['object', vocabulary.objects.length, encoder.objectCount],
    ['predicate', vocabulary.predicates.length, encoder.predicateCount],
  ] as const;
  for (const [kind, received, expected] of counts) {
    if (received === expected) continue;
    throw new ModelError(
      `Model file ${where} does not fit model.json: expected ${expected} ${kind} words (parts.encoder.${kind}Count), received ${received}. ` +
        `Get the model folder again.`,
      { code: 'invalid_vocabulary', file: 'vocab.json' },
    );
  }
  return vocabulary;
}
