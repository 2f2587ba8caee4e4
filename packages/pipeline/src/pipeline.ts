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
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import * as tf from '@tensorflow/tfjs-core';
import { version } from '../package.json';
import { createAttentionSums, pictureMaps, type PictureMaps } from './attention-maps';
import { drawLatents, type LatentDrawer } from './draw-latents';
import { planEdit, planOf, type EditPlan, type Original } from './edit-picture';
import { describe, RequestError } from './errors';
import type { ModelManifest } from './manifest';
import { parseRecord, type RequestRecord } from './record';
import { checkSettings, requireSeed, type RequestSettings } from './request-settings';
import { restoreDetail } from './restore-detail';
import { requireSampler, usualEta, type SamplerName } from './samplers';
import { DEFAULT_SIGMA_LIST, levelsOf, type SigmaListName } from './sigma-lists';
import { DEFAULT_SPACING, type SpacingName } from './spacings';

export type GenerateOptions = {
  /** Whole number from 0; the same seed gives the same picture. Default 0. */
  readonly seed?: number;
  readonly sampler?: SamplerName;
  /** Steps of the sampler, of one or two network calls each (`networkCalls`); the model's default unless given. */
  readonly steps?: number;
  /**
   * Which timesteps the steps visit; the model's default unless given. `published` is the choice of published SGDiff: it
   * leaves a little noise in the picture, takes more steps than asked where that did (31 for 30), and is an error where that
   * crashed.
   */
  readonly spacing?: SpacingName;
  /**
   * The levels of noise the steps visit: `schedule`, the default, those of the timesteps that `spacing` chooses; or a list in its
   * place, from the schedule's highest level to its lowest.
   */
  readonly sigmas?: SigmaListName;
  /** How closely the graph is followed; 1 switches guidance off. */
  readonly guidanceScale?: number;
  /**
   * Noise of `ddim`, of the ancestral samplers and the SDE ones, 0 (none) to 1. Unless given, the model's default or 0 for `ddim`,
   * and 1 for the others.
   */
  readonly eta?: number;
  /** Ends the request within one step. */
  readonly signal?: AbortSignal;
  /** Called, and awaited, after each step. */
  readonly onStep?: (step: PictureStep) => void | Promise<void>;
  /** Whether to tell where in the picture the network looked at what, in `Picture.maps`; the picture is the same. Default false. */
  readonly maps?: boolean;
};

export type GenerateBatchOptions = Omit<GenerateOptions, 'seed'> & {
  /** One per graph. Default 0, 1, 2, … */
  readonly seeds?: readonly number[];
};

/** What a request may say about a picture whose settings come from a record. */
export type RepeatOptions = Pick<GenerateOptions, 'signal' | 'onStep' | 'maps'>;

/** A picture of one's own: RGB bytes, rows from the top, of the model's `imageSize`. */
export type OwnImage = Pick<Picture, 'width' | 'height' | 'pixels'>;

export type ReplayOptions = RepeatOptions & {
  /** The picture that was given to `editImage`, for a record with an `image`. */
  readonly image?: OwnImage;
};

export type EditOptions = ReplayOptions & {
  /**
   * What is drawn anew: `'touched'`, the default, only what the change of the graph touches, in the place where the network looks for it;
   * `'all'` everything, from the same noise.
   */
  readonly redraw?: 'touched' | 'all';
};

export type PictureStep = {
  /** The step just done, from 0. */
  readonly index: number;
  /** How many the run has. */
  readonly steps: number;
  /** What the pictures look like so far (costs one decoding): as `Picture.pixels`, one per graph. Only until `onStep` is over. */
  preview(): Promise<Uint8Array[]>;
  /** `Picture.maps` of the steps so far, one per graph. Only with `maps: true`, and until `onStep` is over. */
  maps(): Promise<PictureMaps[]>;
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
  /** Where the network looked at what, if it was asked for. */
  readonly maps?: PictureMaps;
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
   * Changes a picture by its graph: draws the changed graph from the noise and settings of an earlier request, and keeps what the
   * change does not touch. Objects are known by their ids, else by their words (`graphDifference` of @sgdiff/sg-schema). The record
   * holds the picture's past: up to 8 edits on top of each other.
   *
   * Takes the work of four pictures, and of two more for each edit before, in twice the steps: the first half finds out where to draw.
   * With `redraw: 'all'`, that of one picture.
   *
   * @throws RequestError if that request was drawn with another model, or for one edit too many.
   */
  edit(record: RequestRecord, graph: SceneGraph, options?: EditOptions): Promise<Picture>;
  /**
   * Changes a picture of one's own by its graph, as `edit` does with one that was drawn.
   *
   * @param graph What the picture shows: at least what is to change.
   * @returns The picture, whose unchanged part is that of `image`, to the byte where the decoder carries nothing over. To draw it again or edit it, its record needs the
   *   same `image`. With a change that touches everything it is `changed`, drawn in full.
   */
  editImage(image: OwnImage, graph: SceneGraph, changed: SceneGraph, options?: GenerateOptions): Promise<Picture>;
  /** Draws the picture of a record again. @throws RequestError if it was drawn with another model. */
  replay(record: RequestRecord, options?: ReplayOptions): Promise<Picture>;
  /** Refuses further requests and frees the weights, after the requests under way are done. Harmless when repeated. */
  dispose(): void;
};

/** The product of a relation's weight and those of its objects has to be a float32. */
const MAX_WEIGHT = 1e6;

/** What a pipeline is made of. */
export type PipelineParts = {
  readonly manifest: ModelManifest;
  /** SHA-256 of `model.json`. */
  readonly modelHash: string;
  readonly drawer: LatentDrawer;
  /** Latents in the diffusion's scale of pictures `[B, H, W, 3]` in [-1, 1]. */
  readonly toLatents: (images: tf.Tensor4D) => tf.Tensor4D;
  /** Bytes of the pictures of latents `[B, h, w, C]` in the diffusion's scale. */
  readonly toPixels: (z: tf.Tensor4D) => Promise<Uint8Array[]>;
  readonly free: () => void;
};

export function createPipeline({ manifest, modelHash, drawer, toLatents, toPixels, free }: PipelineParts): Pipeline {
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
    { regions, edits = [], original }: Partial<EditPlan> = {},
    stepsBefore = 0,
  ): Promise<Picture[]> {
    const first = edits.length > 0 ? -1 : 0; // of an edited picture those before it are drawn along
    const settings = checkSettings(withDefaults(options, manifest));
    checkForModel(settings, graphs, drawer);
    seeds.forEach(requireSeed);
    const withoutToken = triplesWithoutToken(graphs).slice(first);
    const { onStep, signal } = options;
    const sums = options.maps ? createAttentionSums() : undefined;
    const toPictures = async (latents: tf.Tensor4D): Promise<Uint8Array[]> => {
      const pictures = await toPixels(latents);
      if (!original) return pictures.slice(first);
      return restoreDetail(pictures, regions ?? [], drawer.latentShape, imageSize, original.pixels).slice(first);
    };
    const readMaps = async (): Promise<PictureMaps[] | undefined> =>
      (await sums?.read())?.map((means, i) => pictureMaps(means, graphs[i], imageSize)).slice(first);
    const report =
      onStep &&
      (async ({ index, steps, x0 }: SamplingStep) => {
        let over = false;
        const stepMaps = async (): Promise<PictureMaps[]> => {
          if (over) throw new RequestError('maps: expected to be called before onStep is over. Await it there.');
          const maps = await readMaps();
          if (!maps) throw new RequestError('maps: expected a request with maps: true, received one without. Set it.');
          return maps;
        };
        try {
          await onStep({
            index: stepsBefore + index,
            steps: stepsBefore + steps,
            preview: () => preview(x0, toPictures),
            maps: stepMaps,
          });
        } finally {
          over = true;
        }
      });
    let z: tf.Tensor4D | undefined;
    try {
      z = await drawLatents(drawer, graphs, {
        ...settings,
        seeds,
        ...(signal ? { signal } : {}),
        ...(report ? { onStep: report } : {}),
        ...(regions ? { regions } : {}),
        ...(original ? { known: original.z } : {}),
        ...(sums ? { onAttention: (attention) => sums.add(attention) } : {}),
      });
      const maps = await readMaps();
      return (await toPictures(z)).map((pixels, i) => ({
        width: imageSize,
        height: imageSize,
        pixels,
        withoutToken: withoutToken[i],
        ...(maps ? { maps: maps[i] } : {}),
        record: {
          format: 1,
          graph: graphs.slice(first)[i],
          model: { name: manifest.name, sha256: modelHash },
          seed: seeds[i],
          ...settings,
          ...(original ? { image: original.sha256 } : {}),
          ...(edits.length > 0 ? { edits } : {}),
          backend: tf.getBackend(),
          versions: { '@sgdiff/pipeline': version, '@tensorflow/tfjs-core': tf.version_core },
        },
      }));
    } finally {
      z?.dispose();
      sums?.dispose();
    }
  }

  /** Of each graph the triples that the encoder makes no token of. */
  function triplesWithoutToken(graphs: readonly SceneGraph[]): Triple[][] {
    const { dropped } = packGraphs(graphs, vocabulary, { maxTriples: tokens, overflow: 'drop' });
    return graphs.map((_, i) => dropped.filter(({ graph }) => graph === i).map(({ triple }) => triple));
  }

  async function preview(x0: tf.Tensor, toPictures: (z: tf.Tensor4D) => Promise<Uint8Array[]>): Promise<Uint8Array[]> {
    if (x0.isDisposed) throw new RequestError('preview: expected to be called before onStep is over. Await it there.');
    return toPictures(x0 as tf.Tensor4D);
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

  /** The record, checked and of this model, and what of it goes into another request. */
  function settingsOf(value: RequestRecord): { readonly record: RequestRecord; readonly settings: GenerateOptions } {
    const record = parseRecord(value);
    const { seed, sampler, steps, spacing, sigmas, guidanceScale, eta, model } = record;
    if (model.sha256 !== modelHash) {
      throw new RequestError(
        `The picture was drawn with model "${model.name}" (${model.sha256.slice(0, 12)}…), this is "${manifest.name}" ` +
          `(${modelHash.slice(0, 12)}…). Load that model, or draw the graph anew with generate.`,
      );
    }
    return { record, settings: { seed, sampler, steps, spacing, sigmas, guidanceScale, eta } };
  }

  async function drawPlan(plan: EditPlan, options: GenerateOptions, stepsBefore?: number): Promise<Picture> {
    const graphs = plan.graphs.map((graph) => parseSceneGraph(graph, graphRules));
    const seeds = graphs.map(() => options.seed!);
    return (await draw(graphs, seeds, options, plan, stepsBefore)).at(-1)!;
  }

  /** Finds out where to draw, and draws. */
  async function drawEdit(
    record: Pick<RequestRecord, 'graph' | 'edits'>,
    graph: SceneGraph,
    options: GenerateOptions,
    original?: Original,
  ): Promise<Picture> {
    const settings = checkSettings(withDefaults(options, manifest));
    const [before, after] = [record.graph, graph].map((each) => parseSceneGraph(each, graphRules));
    const seed = requireSeed(options.seed);
    checkForModel(settings, [before, after], drawer);
    const { onStep, signal } = options;
    let stepsBefore = 0;
    const search = {
      ...settings,
      seed,
      ...(signal ? { signal } : {}),
      async onStep({ index, steps, x0 }: SamplingStep): Promise<void> {
        stepsBefore = steps;
        await onStep?.({
          index,
          steps: 2 * steps,
          preview: async () => (await preview(x0, toPixels)).slice(-1),
          maps: () =>
            Promise.reject(
              new RequestError(
                'maps: expected a call in the second half of the steps of an edit, received one while it is searched where to draw. Wait for it.',
              ),
            ),
        });
      },
    };
    const plan = await planEdit(drawer, { ...record, graph: before }, after, search, original);
    return drawPlan(plan, options, stepsBefore);
  }

  /** A picture of one's own, checked; its bytes are copied, so that nobody changes them meanwhile. */
  function requireImage(image: OwnImage): Uint8Array {
    const { width, height, pixels } = (image ?? {}) as { [K in keyof OwnImage]?: unknown };
    if (!(pixels instanceof Uint8Array || pixels instanceof Uint8ClampedArray)) {
      throw new RequestError(
        `image: expected { width, height, pixels }, with the pixels as bytes in a Uint8Array, received ` +
          `${pixels === undefined ? describe(image) : `pixels that are ${describe(pixels)}`}.`,
      );
    }
    if (width !== imageSize || height !== imageSize || pixels.length !== imageSize * imageSize * 3) {
      throw new RequestError(
        `image: expected ${imageSize} × ${imageSize} pixels of 3 bytes, as this model draws, received ${width} × ${height} and ` +
          `${pixels.length} bytes. Crop and scale it, and leave alpha out.`,
      );
    }
    return Uint8Array.from(pixels);
  }

  /** Calls back with the picture of one's own that a record is made of, if it is. */
  async function withRecorded<T>(
    { image: expected }: Pick<RequestRecord, 'image'>,
    image: OwnImage | undefined,
    work: (original?: Original) => Promise<T>,
  ): Promise<T> {
    if (expected === undefined) {
      if (image === undefined) return work();
      throw new RequestError(
        'image: expected none for a record of a picture that was drawn, received one. Leave it out, or call editImage with it.',
      );
    }
    if (image === undefined) {
      throw new RequestError(
        'image: expected the picture that was given to editImage, which this record needs, received none.',
      );
    }
    return withOriginal(image, expected, work);
  }

  /** Calls back with a picture of one's own. */
  async function withOriginal<T>(
    image: OwnImage,
    expected: string | undefined,
    work: (original: Original) => Promise<T>,
  ): Promise<T> {
    const pixels = requireImage(image);
    const hash = bytesToHex(sha256(pixels));
    if (expected !== undefined && expected !== hash) {
      throw new RequestError(
        `image: expected the picture with SHA-256 ${expected.slice(0, 12)}… that was given to editImage, received another, ` +
          `${hash.slice(0, 12)}….`,
      );
    }
    const z = tf.tidy(() =>
      toLatents(
        tf.tensor4d(
          Float32Array.from(pixels, (byte) => byte / 127.5 - 1),
          [1, imageSize, imageSize, 3],
        ),
      ),
    );
    try {
      return await work({ pixels, sha256: hash, z });
    } finally {
      z.dispose();
    }
  }

  const edit: Pipeline['edit'] = (value, graph, { redraw = 'touched', image, ...options } = {}) =>
    request(async () => {
      const { record, settings } = settingsOf(value);
      if (redraw !== 'touched' && redraw !== 'all') {
        throw new RequestError(`redraw: expected "touched" or "all", received ${describe(redraw)}.`);
      }
      if (redraw === 'all') return generate(graph, { ...options, ...settings });
      return withRecorded(record, image, (original) => drawEdit(record, graph, { ...options, ...settings }, original));
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
    editImage: (image, graph, changed, options = {}) =>
      request(() =>
        withOriginal(image, undefined, (original) =>
          drawEdit({ graph }, changed, { ...options, seed: options.seed ?? 0 }, original),
        ),
      ),
    replay: (value, { image, ...options } = {}) =>
      request(async () => {
        const { record, settings } = settingsOf(value);
        return withRecorded(record, image, (original) =>
          drawPlan(planOf(record, drawer, original), { ...options, ...settings }),
        );
      }),
    dispose() {
      if (disposed) return;
      disposed = true;
      if (running === 0) free();
    },
  };
}

/** The settings of a request: its own, else the model's. The model's eta is for `ddim` and for no other sampler. */
function withDefaults(
  { sampler, steps, spacing, sigmas, guidanceScale, eta }: GenerateOptions,
  { defaults }: ModelManifest,
): Record<keyof RequestSettings, unknown> {
  const chosen = requireSampler(sampler ?? defaults.sampler);
  const list = sigmas ?? DEFAULT_SIGMA_LIST;
  return {
    sampler: chosen,
    steps: steps ?? defaults.steps,
    spacing: spacing ?? (list === DEFAULT_SIGMA_LIST ? defaults.spacing : undefined) ?? DEFAULT_SPACING,
    sigmas: list,
    guidanceScale: guidanceScale ?? defaults.guidanceScale,
    eta: eta ?? (chosen === defaults.sampler ? defaults.eta : undefined) ?? usualEta(chosen) ?? 0,
  };
}

/** @throws RequestError for settings that this model cannot use. */
function checkForModel(
  { steps, spacing, sigmas, guidanceScale }: RequestSettings,
  graphs: readonly SceneGraph[],
  { schedule, unet }: LatentDrawer,
): void {
  if (steps > schedule.timesteps) {
    throw new RequestError(
      `steps: expected at most ${schedule.timesteps}, which this model was trained with, received ${steps}.`,
    );
  }
  try {
    levelsOf(schedule, sigmas, spacing, steps);
  } catch (cause) {
    if (!(cause instanceof SamplerError)) throw cause;
    const message = cause.message.slice(cause.message.indexOf(': ') + 2); // without the name of the function
    const chosen = sigmas === DEFAULT_SIGMA_LIST ? `spacing "${spacing}"` : `sigmas "${sigmas}"`;
    throw new RequestError(`steps, with ${chosen}: ${message}`, { cause });
  }
  if (guidanceScale !== 1 && !unet.config.nullToken) {
    throw new RequestError(
      `guidanceScale: expected 1, since this model was not trained for guidance, received ${guidanceScale}. Leave it out.`,
    );
  }
  for (const { weights = [], relationshipWeights = [] } of graphs.flatMap(({ negative, ...graph }) =>
    negative ? [graph, negative] : [graph],
  )) {
    const tooLarge = [...weights, ...relationshipWeights].find((weight) => weight > MAX_WEIGHT);
    if (tooLarge !== undefined) {
      throw new RequestError(
        `weights: expected numbers from 0 to ${MAX_WEIGHT}, received ${tooLarge}. From about 8 on, more hardly changes anything.`,
      );
    }
  }
  if (guidanceScale === 1 && graphs.some(({ negative }) => negative)) {
    throw new RequestError(
      'guidanceScale: expected another value than 1 for a graph with a negative graph, received 1. ' +
        'A negative graph works through guidance: raise guidanceScale, or leave the negative graph out.',
    );
  }
}
