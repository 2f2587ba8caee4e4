// Shapes: B batch, h, w, C latent sides and channels.
import { SamplerError, type SamplingStep } from '@sgdiff/sampler';
import {
  packGraphs,
  parseSceneGraph,
  parseSceneGraphs,
  type SceneGraph,
  type Triple,
  type Vocabulary,
} from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import { version } from '../package.json';
import { drawLatents, type LatentDrawer } from './draw-latents';
import { RequestError } from './errors';
import type { ModelManifest } from './manifest';
import { parseRecord, type RequestRecord } from './record';
import { checkSettings, requireSeed, type RequestSettings } from './request-settings';
import type { SamplerName } from './samplers';
import { DEFAULT_SPACING, sigmasOf, type SpacingName } from './spacings';

export type GenerateOptions = {
  /** Whole number from 0; the same seed gives the same picture. Default 0. */
  readonly seed?: number;
  readonly sampler?: SamplerName;
  /** Steps of the sampler, each one network call (with `plms` the first is two); the model's default unless given. */
  readonly steps?: number;
  /**
   * Which timesteps the steps visit; the model's default unless given. `published` is the choice of published SGDiff: it
   * leaves a little noise in the picture, takes more steps than asked where that did (31 for 30), and is an error where that
   * crashed.
   */
  readonly spacing?: SpacingName;
  /** How closely the graph is followed; 1 switches guidance off. */
  readonly guidanceScale?: number;
  /** Noise of the `ddim` sampler, 0 (none) to 1; the model's default, or 0, unless given. */
  readonly eta?: number;
  /** Ends the request within one step. */
  readonly signal?: AbortSignal;
  /** Called, and awaited, after each step. */
  readonly onStep?: (step: PictureStep) => void | Promise<void>;
};

export type GenerateBatchOptions = Omit<GenerateOptions, 'seed'> & {
  /** One per graph. Default 0, 1, 2, … */
  readonly seeds?: readonly number[];
};

/** What a request may say about a picture whose settings come from a record. */
export type RepeatOptions = Pick<GenerateOptions, 'signal' | 'onStep'>;

export type PictureStep = {
  /** The step just done, from 0. */
  readonly index: number;
  /** How many the run has. */
  readonly steps: number;
  /** What the pictures look like so far (costs one decoding): as `Picture.pixels`, one per graph. Only until `onStep` is over. */
  preview(): Promise<Uint8Array[]>;
};

export type Picture = {
  readonly width: number;
  readonly height: number;
  /** RGB bytes, rows from the top, `width * height * 3`. */
  readonly pixels: Uint8Array;
  /**
   * Triples that got no token of their own, since the model has fewer tokens than the graph has triples: the network knows of
   * them through the graph's other tokens and its global vector alone. Empty unless the model's encoder says overflow `first`,
   * as published ones do. `__image__` is the object after the graph's last one.
   */
  readonly withoutToken: readonly Triple[];
  readonly record: RequestRecord;
};

/** A loaded model. */
export type Pipeline = {
  readonly manifest: ModelManifest;
  readonly vocabulary: Vocabulary;
  /**
   * Most triples of a graph, one `__in_image__` triple per object included; Infinity for a model that draws larger graphs with
   * tokens for a part of them (`Picture.withoutToken`).
   */
  readonly maxTriples: number;
  /**
   * Draws a graph.
   *
   * @throws SceneGraphError for a graph the model cannot draw, RequestError for bad settings, SamplingAbortedError (`name`
   *   is `AbortError`). Nothing stays allocated then.
   */
  generate(graph: SceneGraph, options?: GenerateOptions): Promise<Picture>;
  /** Draws several graphs in one batch, each from its own seed: the same pictures as one by one. */
  generateBatch(graphs: readonly SceneGraph[], options?: GenerateBatchOptions): Promise<Picture[]>;
  /**
   * Draws a changed graph from the noise and settings of an earlier request, so that what the change does not touch tends to
   * stay. @throws RequestError if that request was drawn with another model.
   */
  edit(record: RequestRecord, graph: SceneGraph, options?: RepeatOptions): Promise<Picture>;
  /** Draws the picture of a record again. @throws RequestError if it was drawn with another model. */
  replay(record: RequestRecord, options?: RepeatOptions): Promise<Picture>;
  /** Refuses further requests and frees the weights, after the requests under way are done. Harmless when repeated. */
  dispose(): void;
};

/** What a pipeline is made of. */
export type PipelineParts = {
  readonly manifest: ModelManifest;
  /** SHA-256 of `model.json`. */
  readonly modelHash: string;
  readonly drawer: LatentDrawer;
  /** Bytes of the pictures of latents `[B, h, w, C]` in the diffusion's scale. */
  readonly toPixels: (z: tf.Tensor4D) => Promise<Uint8Array[]>;
  readonly free: () => void;
};

export function createPipeline({ manifest, modelHash, drawer, toPixels, free }: PipelineParts): Pipeline {
  const { imageSize } = manifest;
  const { vocabulary } = drawer;
  const { maxTriples: tokens, overflow } = drawer.encoder.config;
  const maxTriples = overflow === 'first' ? Infinity : tokens;
  const graphRules = { vocabulary, maxTriples };
  let disposed = false;
  let running = 0;

  /** Draws graphs that were checked. */
  async function draw(
    graphs: readonly SceneGraph[],
    seeds: readonly number[],
    options: GenerateOptions,
  ): Promise<Picture[]> {
    const settings = checkSettings(withDefaults(options, manifest));
    checkForModel(settings, graphs, drawer);
    seeds.forEach(requireSeed);
    const withoutToken = triplesWithoutToken(graphs);
    const { onStep, signal } = options;
    const report =
      onStep && (({ index, steps, x0 }: SamplingStep) => onStep({ index, steps, preview: () => preview(x0) }));
    const z = await drawLatents(drawer, graphs, {
      ...settings,
      seeds,
      ...(signal ? { signal } : {}),
      ...(report ? { onStep: report } : {}),
    });
    try {
      return (await toPixels(z)).map((pixels, i) => ({
        width: imageSize,
        height: imageSize,
        pixels,
        withoutToken: withoutToken[i],
        record: {
          format: 1,
          graph: graphs[i],
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
  }

  /** Of each graph the triples that the encoder makes no token of. */
  function triplesWithoutToken(graphs: readonly SceneGraph[]): Triple[][] {
    const { dropped } = packGraphs(graphs, vocabulary, { maxTriples: tokens, overflow: 'drop' });
    return graphs.map((_, i) => dropped.filter(({ graph }) => graph === i).map(({ triple }) => triple));
  }

  async function preview(x0: tf.Tensor): Promise<Uint8Array[]> {
    if (x0.isDisposed) throw new RequestError('preview: expected to be called before onStep is over. Await it there.');
    return toPixels(x0 as tf.Tensor4D);
  }

  /** Keeps the weights until the request is over. */
  async function request<T>(work: () => Promise<T>): Promise<T> {
    if (disposed) throw new RequestError('This pipeline was disposed. Load the model again.');
    running++;
    try {
      return await work();
    } finally {
      running--;
      if (disposed && running === 0) free();
    }
  }

  const generate: Pipeline['generate'] = (graph, options = {}) =>
    request(async () => {
      const [picture] = await draw([parseSceneGraph(graph, graphRules)], [options.seed ?? 0], options);
      return picture;
    });

  const edit: Pipeline['edit'] = (record, graph, options = {}) =>
    request(async () => {
      const { seed, sampler, steps, spacing, guidanceScale, eta, model } = parseRecord(record);
      if (model.sha256 !== modelHash) {
        throw new RequestError(
          `The picture was drawn with model "${model.name}" (${model.sha256.slice(0, 12)}…), this is "${manifest.name}" ` +
            `(${modelHash.slice(0, 12)}…). Load that model, or draw the graph anew with generate.`,
        );
      }
      return generate(graph, { ...options, seed, sampler, steps, spacing, guidanceScale, eta });
    });

  return {
    manifest,
    vocabulary,
    maxTriples,
    generate,
    generateBatch: (graphs, options = {}) =>
      request(async () => {
        if (graphs.length === 0) return [];
        const checked = parseSceneGraphs(graphs, graphRules);
        const seeds = options.seeds ?? checked.map((_, i) => i);
        if (seeds.length !== checked.length) {
          throw new RequestError(`seeds: expected one per graph, ${checked.length}, received ${seeds.length}.`);
        }
        return draw(checked, seeds, options);
      }),
    edit,
    replay: (record, options) => request(async () => edit(record, parseRecord(record).graph, options)),
    dispose() {
      if (disposed) return;
      disposed = true;
      if (running === 0) free();
    },
  };
}

/** The settings of a request: its own, else the model's. The model's eta is for `ddim` and for no other sampler. */
function withDefaults(
  { sampler, steps, spacing, guidanceScale, eta }: GenerateOptions,
  { defaults }: ModelManifest,
): Record<keyof RequestSettings, unknown> {
  const chosen = sampler ?? defaults.sampler;
  return {
    sampler: chosen,
    steps: steps ?? defaults.steps,
    spacing: spacing ?? defaults.spacing ?? DEFAULT_SPACING,
    guidanceScale: guidanceScale ?? defaults.guidanceScale,
    eta: eta ?? (chosen === 'ddim' ? defaults.eta : undefined) ?? 0,
  };
}

/** @throws RequestError for settings that this model cannot use. */
function checkForModel(
  { steps, spacing, guidanceScale }: RequestSettings,
  graphs: readonly SceneGraph[],
  { schedule, unet }: LatentDrawer,
): void {
  if (steps > schedule.timesteps) {
    throw new RequestError(
      `steps: expected at most ${schedule.timesteps}, which this model was trained with, received ${steps}.`,
    );
  }
  try {
    sigmasOf(schedule, spacing, steps);
  } catch (cause) {
    if (!(cause instanceof SamplerError)) throw cause;
    const message = cause.message.slice(cause.message.indexOf(': ') + 2); // without the name of the function
    throw new RequestError(`steps, with spacing "${spacing}": ${message}`, { cause });
  }
  if (guidanceScale !== 1 && !unet.config.nullToken) {
    throw new RequestError(
      `guidanceScale: expected 1, since this model was not trained for guidance, received ${guidanceScale}. Leave it out.`,
    );
  }
  if (guidanceScale === 1 && graphs.some(({ negative }) => negative)) {
    throw new RequestError(
      'guidanceScale: expected another value than 1 for a graph with a negative graph, received 1. ' +
        'A negative graph works through guidance: raise guidanceScale, or leave the negative graph out.',
    );
  }
}
