// Shapes: B batch, H, W picture sides.
import { decode, downsamplingFactor, initAutoencoder } from '@sgdiff/latent-autoencoder';
import { initUnet } from '@sgdiff/diffusion-unet';
import { CheckpointError, createRng, disposeParams, paramsFromSafetensors, restoreParams, type ParamTree } from '@sgdiff/nn';
import { createSchedule, type SamplingStep } from '@sgdiff/sampler';
import { initSgEncoder } from '@sgdiff/sg-encoder';
import { parseSceneGraph, parseVocabulary, type SceneGraph, type Vocabulary } from '@sgdiff/sg-schema';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import * as tf from '@tensorflow/tfjs-core';
import { version } from '../package.json';
import { drawLatents, type LatentDrawer } from './draw-latents';
import { ModelError, RequestError } from './errors';
import { parseManifest, type ModelManifest } from './manifest';
import { urlSource, type ModelSource } from './model-source';
import type { RequestRecord } from './record';
import { requireSampler, type SamplerName } from './samplers';

export type GenerateOptions = {
  /** Whole number from 0; the same seed gives the same picture. Default 0. */
  readonly seed?: number;
  readonly sampler?: SamplerName;
  /** Network calls; the model's default unless given. */
  readonly steps?: number;
  /** How closely the graph is followed; 1 switches guidance off. */
  readonly guidanceScale?: number;
  /** Noise of the `ddim` sampler, 0 (none, default) to 1. */
  readonly eta?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (step: PictureStep) => void | Promise<void>;
};

export type PictureStep = {
  /** The step just done, from 0. */
  readonly index: number;
  readonly steps: number;
  /** What the pictures look like so far (costs one decoding): as `Picture.pixels`, one per graph. */
  preview(): Promise<Uint8Array[]>;
};

export type Picture = {
  readonly width: number;
  readonly height: number;
  /** RGB bytes, rows from the top, `width * height * 3`. */
  readonly pixels: Uint8Array;
  readonly record: RequestRecord;
};

/** A loaded model. */
export type Pipeline = {
  readonly manifest: ModelManifest;
  readonly vocabulary: Vocabulary;
  /** Most triples of a graph, one `__in_image__` triple per object included. */
  readonly maxTriples: number;
  /**
   * Draws a graph.
   *
   * @throws SceneGraphError for a graph the model cannot draw, RequestError for bad settings, SamplingAbortedError.
   */
  generate(graph: SceneGraph, options?: GenerateOptions): Promise<Picture>;
  /** Draws several graphs in one batch, each from its own seed: the same pictures as one by one. */
  generateBatch(graphs: readonly SceneGraph[], options?: Omit<GenerateOptions, 'seed'> & { readonly seeds?: readonly number[] }): Promise<Picture[]>;
  /** Draws a changed graph from the noise and settings of an earlier request, so that what the change does not touch tends to stay. */
  edit(record: RequestRecord, graph: SceneGraph, options?: Pick<GenerateOptions, 'signal' | 'onStep'>): Promise<Picture>;
  /** Draws the picture of a record again. @throws RequestError if it was drawn with another model. */
  replay(record: RequestRecord, options?: Pick<GenerateOptions, 'signal' | 'onStep'>): Promise<Picture>;
  /** Frees the weights. Harmless when repeated. */
  dispose(): void;
};

/**
 * Loads a model: checks every file against the manifest's hash, then the weights against the configs.
 *
 * @param source A model folder: `urlSource`, `memorySource`, from `@sgdiff/pipeline/node` a directory or a package; a string is a URL.
 * @returns The pipeline. The caller disposes it.
 * @throws ModelError naming the file; nothing stays allocated then.
 */
export async function loadPipeline(source: ModelSource | string): Promise<Pipeline> {
  const folder = typeof source === 'string' ? urlSource(source) : source;
  const manifestBytes = await folder.read('model.json');
  const manifest = parseManifest(new TextDecoder().decode(manifestBytes), `${folder.name}/model.json`);
  const vocabulary = parseVocabulary(JSON.parse(new TextDecoder().decode(await readModelFile(folder, manifest, 'vocab.json'))));
  const { parts } = manifest;
  const loaded: ParamTree[] = [];
  const load = async <T extends ParamTree>(file: string, init: () => T): Promise<T> => {
    const params = await loadModelWeights(folder, manifest, file, init);
    loaded.push(params);
    return params;
  };
  try {
    const rng = createRng('pipeline');
    const encoder = await load('encoder.safetensors', () => initSgEncoder(parts.encoder, rng));
    const autoencoder = await load('autoencoder.safetensors', () => initAutoencoder(parts.autoencoder, rng));
    const unet = await load('unet.safetensors', () => initUnet(parts.unet, rng));
    const side = manifest.imageSize / downsamplingFactor(parts.autoencoder);
    const drawer: LatentDrawer = {
      vocabulary,
      encoder: { params: encoder, config: parts.encoder },
      unet: { params: unet, config: parts.unet },
      schedule: createSchedule(manifest.schedule),
      prediction: manifest.prediction,
      latentShape: [side, side, parts.unet.inChannels],
    };
    const toPixels = (z: tf.Tensor4D): Promise<Uint8Array[]> =>
      readPixels(() => decode(autoencoder, parts.autoencoder, tf.div(z, manifest.latentScale)));
    return createPipeline(manifest, bytesToHex(sha256(manifestBytes)), drawer, toPixels, () => loaded.splice(0).forEach(disposeParams));
  } catch (error) {
    loaded.forEach(disposeParams);
    throw error;
  }
}

/**
 * Bytes of a file of the model folder, checked against the manifest.
 *
 * @throws ModelError `missing_file` or `altered_file`.
 */
export async function readModelFile(source: ModelSource, manifest: ModelManifest, file: string): Promise<Uint8Array> {
  const expected = manifest.files[file];
  if (!expected) {
    throw new ModelError(`${source.name}/model.json lists no "${file}". This model comes without that part.`, { code: 'missing_file', file });
  }
  const bytes = await source.read(file);
  const received = bytesToHex(sha256(bytes));
  if (received !== expected.sha256) {
    throw new ModelError(
      `Model file ${source.name}/${file} was altered or cut: its SHA-256 is ${received} (${bytes.length} bytes), ` +
        `expected ${expected.sha256} (${expected.bytes} bytes). Get the model folder again.`,
      { code: 'altered_file', file },
    );
  }
  return bytes;
}

/**
 * Weights of one part, in the tree that `init` makes.
 *
 * @returns The weights. The caller disposes them.
 * @throws ModelError as `readModelFile`, or `weights_mismatch` listing all names that do not fit.
 */
export async function loadModelWeights<T extends ParamTree>(
  source: ModelSource,
  manifest: ModelManifest,
  file: string,
  init: () => T,
): Promise<T> {
  const bytes = await readModelFile(source, manifest, file);
  const template = init();
  try {
    const tensors = paramsFromSafetensors(bytes);
    try {
      return restoreParams(template, tensors);
    } finally {
      tf.dispose(tensors);
    }
  } catch (cause) {
    if (!(cause instanceof CheckpointError)) throw cause;
    throw new ModelError(`Model file ${source.name}/${file} does not fit model.json: ${cause.message}`, {
      code: 'weights_mismatch',
      file,
      cause,
    });
  } finally {
    disposeParams(template);
  }
}

function createPipeline(
  manifest: ModelManifest,
  modelHash: string,
  drawer: LatentDrawer,
  toPixels: (z: tf.Tensor4D) => Promise<Uint8Array[]>,
  free: () => void,
): Pipeline {
  const { imageSize, defaults } = manifest;
  const { vocabulary } = drawer;
  const { maxTriples } = drawer.encoder.config;
  let disposed = false;

  const generateBatch: Pipeline['generateBatch'] = async (graphs, options = {}) => {
    if (disposed) throw new RequestError('This pipeline was disposed. Load the model again.');
    if (graphs.length === 0) return [];
    const checked = graphs.map((graph) => parseSceneGraph(graph, { vocabulary, maxTriples }));
    const seeds = options.seeds ?? checked.map((_, i) => i);
    if (seeds.length !== checked.length) {
      throw new RequestError(`generateBatch: expected one seed per graph, received ${seeds.length} for ${checked.length} graphs.`);
    }
    const settings = {
      sampler: requireSampler(options.sampler ?? defaults.sampler),
      steps: options.steps ?? defaults.steps,
      guidanceScale: options.guidanceScale ?? defaults.guidanceScale,
      eta: options.eta ?? 0,
    };
    checkSettings(settings, seeds);
    const { onStep, signal } = options;
    const z = await drawLatents(drawer, checked, {
      ...settings,
      seeds,
      ...(signal ? { signal } : {}),
      ...(onStep ? { onStep: (step: SamplingStep) => onStep({ index: step.index, steps: step.steps, preview: () => toPixels(step.x0 as tf.Tensor4D) }) } : {}),
    });
    try {
      const pixels = await toPixels(z);
      return pixels.map((bytes, i) => ({
        width: imageSize,
        height: imageSize,
        pixels: bytes,
        record: {
          format: 1,
          graph: checked[i],
          model: { name: manifest.name, sha256: modelHash },
          seed: seeds[i],
          ...settings,
          backend: tf.getBackend(),
          versions: { '@sgdiff/pipeline': version, '@tensorflow/tfjs-core': tf.version_core },
        },
      }));
    } finally {
      z.dispose();
    }
  };
  const generate: Pipeline['generate'] = async (graph, { seed = 0, ...options } = {}) => {
    const [picture] = await generateBatch([graph], { ...options, seeds: [seed] });
    return picture;
  };
  const edit: Pipeline['edit'] = (record, graph, options = {}) => {
    const { seed, sampler, steps, guidanceScale, eta } = record;
    return generate(graph, { ...options, seed, sampler, steps, guidanceScale, eta });
  };
  const replay: Pipeline['replay'] = async (record, options) => {
    if (record.model.sha256 !== modelHash) {
      throw new RequestError(
        `The picture was drawn with model "${record.model.name}" (${record.model.sha256.slice(0, 12)}…), this is "${manifest.name}" ` +
          `(${modelHash.slice(0, 12)}…). Load that model to draw it again.`,
      );
    }
    return edit(record, record.graph, options);
  };
  return {
    manifest,
    vocabulary,
    maxTriples,
    generate,
    generateBatch,
    edit,
    replay,
    dispose() {
      disposed = true;
      free();
    },
  };
}

function checkSettings(
  settings: { readonly steps: number; readonly guidanceScale: number; readonly eta: number },
  seeds: readonly number[],
): void {
  const { steps, guidanceScale, eta } = settings;
  if (!Number.isInteger(steps) || steps < 1) throw new RequestError(`steps: expected a whole number from 1, received ${steps}.`);
  if (!Number.isFinite(guidanceScale) || guidanceScale < 0) {
    throw new RequestError(`guidanceScale: expected a number from 0, received ${guidanceScale}. 1 is without guidance, 2 is usual.`);
  }
  if (!(eta >= 0 && eta <= 1)) throw new RequestError(`eta: expected a number from 0 to 1, received ${eta}.`);
  for (const seed of seeds) {
    if (!Number.isSafeInteger(seed) || seed < 0) throw new RequestError(`seed: expected a whole number from 0, received ${seed}.`);
  }
}

/** Bytes of each picture of a batch `[B, H, W, 3]` in [-1, 1]. */
async function readPixels(draw: () => tf.Tensor4D): Promise<Uint8Array[]> {
  const images = tf.tidy(() => tf.round(tf.mul(tf.clipByValue(tf.div(tf.add(draw(), 1), 2), 0, 1), 255)));
  try {
    const values = await images.data();
    const size = images.size / images.shape[0]!;
    return Array.from({ length: images.shape[0]! }, (_, i) => Uint8Array.from(values.subarray(i * size, (i + 1) * size)));
  } finally {
    images.dispose();
  }
}
