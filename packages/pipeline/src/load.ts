import { decode, downsamplingFactor, initAutoencoder } from '@sgdiff/latent-autoencoder';
import { initUnet } from '@sgdiff/diffusion-unet';
import {
  CheckpointError,
  createRng,
  disposeParams,
  paramsFromSafetensors,
  restoreParams,
  type ParamTree,
  type Rng,
} from '@sgdiff/nn';
import { createSchedule } from '@sgdiff/sampler';
import { initSgEncoder, type SgEncoderConfig } from '@sgdiff/sg-encoder';
import { parseVocabulary, VocabularyError, type Vocabulary } from '@sgdiff/sg-schema';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import * as tf from '@tensorflow/tfjs-core';
import { ModelError, RequestError } from './errors';
import { parseManifest, type ModelManifest } from './manifest';
import { urlSource, type ModelSource } from './model-source';
import { createPipeline, type Pipeline } from './pipeline';
import { readPixels } from './pixels';

/**
 * Loads a model: checks every file against the manifest's hash, the parts against each other, and the weights against the
 * configs.
 *
 * @param source A model folder: `urlSource`, `memorySource`, from `@sgdiff/pipeline/node` a directory or a package; a string is a URL.
 * @returns The pipeline. The caller disposes it.
 * @throws ModelError naming the file, RequestError when no tfjs backend can be started; nothing stays allocated then.
 */
export async function loadPipeline(source: ModelSource | string): Promise<Pipeline> {
  await requireBackend();
  const folder = typeof source === 'string' ? urlSource(source) : source;
  const manifestBytes = await folder.read('model.json');
  const manifest = parseManifest(new TextDecoder().decode(manifestBytes), `${folder.name}/model.json`);
  const { parts } = manifest;
  const vocabulary = await loadVocabulary(folder, manifest, parts.encoder);

  const loaded: ParamTree[] = [];
  const free = (): void => {
    for (const params of loaded.splice(0)) disposeParams(params);
  };
  const load = async <T extends ParamTree>(file: string, init: (rng: Rng) => T): Promise<T> => {
    const params = await loadModelWeights(folder, manifest, file, init);
    loaded.push(params);
    return params;
  };
  try {
    const encoder = await load('encoder.safetensors', (rng) => initSgEncoder(parts.encoder, rng));
    const autoencoder = await load('autoencoder.safetensors', (rng) => initAutoencoder(parts.autoencoder, rng));
    const unet = await load('unet.safetensors', (rng) => initUnet(parts.unet, rng));
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
      toPixels: (z) => readPixels(() => decode(autoencoder, parts.autoencoder, tf.div(z, manifest.latentScale))),
      free,
    });
  } catch (error) {
    free();
    throw error;
  }
}

/**
 * Bytes of a file of the model folder, checked against the manifest.
 *
 * @throws ModelError `missing_file` or `altered_file`.
 */
export async function readModelFile(source: ModelSource, manifest: ModelManifest, file: string): Promise<Uint8Array> {
  const expected = Object.hasOwn(manifest.files, file) ? manifest.files[file] : undefined;
  if (!expected) {
    throw new ModelError(`${source.name}/model.json lists no "${file}". This model comes without that part.`, {
      code: 'missing_file',
      file,
    });
  }
  const bytes = await source.read(file);
  const received = bytesToHex(sha256(bytes));
  if (received !== expected.sha256) {
    throw new ModelError(
      `Model file ${source.name}/${file} was altered or cut: expected SHA-256 ${expected.sha256} (${expected.bytes} bytes), ` +
        `received ${received} (${bytes.length} bytes). Get the model folder again.`,
      { code: 'altered_file', file },
    );
  }
  return bytes;
}

/**
 * Weights of one part, in the tree that `init` makes.
 *
 * @param init Makes a tree of the right names and shapes. The generator it is given yields zeros, which is quicker: the
 *   numbers are not used.
 * @returns The weights. The caller disposes them.
 * @throws ModelError as `readModelFile`; `invalid_manifest` if `init` refuses its config; `weights_mismatch` listing all names
 *   that do not fit. Nothing stays allocated then.
 */
export async function loadModelWeights<T extends ParamTree>(
  source: ModelSource,
  manifest: ModelManifest,
  file: string,
  init: (rng: Rng) => T,
): Promise<T> {
  const bytes = await readModelFile(source, manifest, file);
  const template = makeTemplate(source, file, init);
  let tensors: Record<string, tf.Tensor> = {};
  try {
    tensors = paramsFromSafetensors(bytes);
    return restoreParams(template, tensors);
  } catch (cause) {
    if (!(cause instanceof CheckpointError)) throw cause;
    throw new ModelError(`Model file ${source.name}/${file} does not fit model.json: ${cause.message}`, {
      code: 'weights_mismatch',
      file,
      cause,
    });
  } finally {
    tf.dispose(tensors);
    disposeParams(template);
  }
}

function makeTemplate<T extends ParamTree>(source: ModelSource, file: string, init: (rng: Rng) => T): T {
  try {
    return tf.tidy(() => init(zeroRng) as T & tf.TensorContainer); // the tidy frees what was made if `init` throws half-way
  } catch (cause) {
    throw new ModelError(
      `${source.name}/model.json: the config of the part in ${file} cannot be used: ${(cause as Error).message} ` +
        `Correct it or get the model folder again.`,
      { code: 'invalid_manifest', file: 'model.json', cause },
    );
  }
}

/** Leaves arrays at zero. */
const zeroRng: Rng = {
  ...createRng(),
  fork: () => zeroRng,
  fillNormal: (out) => out,
  fillUniform: (out) => out,
};

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

/** Starts the best backend that the app registered, unless it has chosen one. */
async function requireBackend(): Promise<void> {
  try {
    await tf.ready();
  } catch (cause) {
    throw new RequestError(
      `loadPipeline: expected a TensorFlow.js backend, received none (${(cause as Error).message.replace(/\.$/, '')}). ` +
        `Import one in the app, e.g. '@tensorflow/tfjs-backend-wasm', in a browser with its setWasmPaths.`,
      { cause },
    );
  }
}
