import { downsamplingFactor, type AutoencoderConfig } from '@sgdiff/latent-autoencoder';
import type { UnetConfig } from '@sgdiff/diffusion-unet';
import { createSchedule, publishedTimesteps, type Prediction, type ScheduleConfig } from '@sgdiff/sampler';
import type { SgEncoderConfig } from '@sgdiff/sg-encoder';
import { describe, ModelError } from './errors';
import { SAMPLERS, usualEta, type SamplerName } from './samplers';
import { SPACINGS, type SpacingName } from './spacings';

export const MODEL_FORMAT = 1;

/** `model.json` of a model folder. */
export type ModelManifest = {
  readonly format: typeof MODEL_FORMAT;
  readonly name: string;
  readonly licence: string;
  readonly description?: string;
  /** Side of the square pictures in px. */
  readonly imageSize: number;
  readonly schedule: ScheduleConfig;
  readonly prediction: Prediction;
  /** Latents are multiplied by it before diffusion and divided by it before decoding; 1 for imported weights. */
  readonly latentScale: number;
  /** Settings that a request without its own gets. */
  readonly defaults: {
    readonly sampler: SamplerName;
    readonly steps: number;
    readonly guidanceScale: number;
    /** Noise of that sampler, 0 to 1. Default: the sampler's own. */
    readonly eta?: number;
    /** Default 'trailing'. */
    readonly spacing?: SpacingName;
  };
  readonly parts: {
    readonly encoder: SgEncoderConfig;
    readonly autoencoder: AutoencoderConfig;
    readonly unet: UnetConfig;
    /** Parts that evaluation needs and drawing does not (detector, image encoder), by name: their own configs. */
    readonly evaluation?: Readonly<Record<string, unknown>>;
  };
  /** Every other file of the folder. */
  readonly files: Readonly<Record<string, ModelFile>>;
  /** How the weights came about, for the model card. */
  readonly training?: unknown;
};

export type ModelFile = { readonly sha256: string; readonly bytes: number };

/** The files that drawing needs. */
export const DRAWING_FILES = [
  'vocab.json',
  'encoder.safetensors',
  'autoencoder.safetensors',
  'unet.safetensors',
] as const;

const PREDICTIONS: readonly Prediction[] = ['eps', 'v', 'x0'];

/** What is wrong with a value of the manifest, and where. */
type Problem = { readonly at: string; readonly expected: string; readonly received: string };

/**
 * Checks `model.json`: its form, its values, and that its parts fit each other.
 *
 * @param where Path or URL of the file, for messages.
 * @throws ModelError `invalid_manifest` or `unsupported_format`.
 */
export function parseManifest(text: string, where: string): ModelManifest {
  const value = parseModelJson(text, where);
  const fail = (message: string): never => {
    throw new ModelError(`${where}: ${message}`, { code: 'invalid_manifest', file: 'model.json' });
  };
  if (value['parts'] === undefined && isObject(value['part'])) {
    return fail(
      `expected a whole model, received the single part ${describe(value['part']['kind'])}. A picture needs encoder, autoencoder and ` +
        `unet: name a folder that has all three.`,
    );
  }
  const problem = findProblem(value) ?? findMisfit(value as unknown as ModelManifest);
  if (problem) {
    const { at, expected, received } = problem;
    return fail(`${at}: expected ${expected}, received ${received}. Correct it or get the model folder again.`);
  }
  return value as unknown as ModelManifest;
}

/**
 * The object in a `model.json` of this format.
 *
 * @throws ModelError `invalid_manifest` or `unsupported_format`.
 */
export function parseModelJson(text: string, where: string): Record<string, unknown> {
  const fail = (message: string, code: 'invalid_manifest' | 'unsupported_format', cause?: unknown): never => {
    throw new ModelError(`${where}${message}`, { code, file: 'model.json', cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const remedy = /^\s*</.test(text)
      ? 'It looks like a web page: check the address of the model folder.'
      : 'Get the model folder again.';
    return fail(` is not valid JSON: ${(cause as Error).message}. ${remedy}`, 'invalid_manifest', cause);
  }
  if (!isObject(value))
    return fail(`: expected an object, received ${describe(value)}. Get the model folder again.`, 'invalid_manifest');
  if (value['format'] !== MODEL_FORMAT) {
    return fail(
      `: format: expected ${MODEL_FORMAT}, received ${describe(value['format'])}. ` +
        `Use the version of @sgdiff/pipeline that the model was made for.`,
      'unsupported_format',
    );
  }
  return value;
}

/** The first of the files, needed or listed, that is not described as it should be. */
export function findFileProblem(
  files: Record<string, unknown>,
  needed: readonly string[],
): { readonly at: string; readonly file: string; readonly expected: string } | undefined {
  for (const file of new Set([...needed, ...Object.keys(files)])) {
    const entry = files[file];
    if (!isObject(entry) || typeof entry['sha256'] !== 'string' || !isNumber(entry['bytes'])) {
      return { at: `files["${file}"]`, file, expected: 'an object with sha256 and bytes' };
    }
  }
  return undefined;
}

/** The first key that is missing or holds what it cannot. */
function findProblem(value: Record<string, unknown>): Problem | undefined {
  const problem = (at: string, expected: string, received: unknown): Problem => ({
    at,
    expected,
    received: describe(received),
  });
  for (const key of ['name', 'licence']) {
    if (typeof value[key] !== 'string') return problem(key, 'a string', value[key]);
  }
  const { imageSize, schedule, prediction, latentScale, defaults, parts, files } = value;
  if (!isCount(imageSize)) return problem('imageSize', 'a whole number from 1', imageSize);
  if (!isObject(schedule)) return problem('schedule', 'an object', schedule);
  const scheduleError = errorOf(() => createSchedule(schedule as ScheduleConfig));
  if (scheduleError !== undefined) return problem('schedule', `a noise schedule (${scheduleError})`, schedule);
  if (!(PREDICTIONS as readonly unknown[]).includes(prediction)) {
    return problem('prediction', `one of ${PREDICTIONS.join(', ')}`, prediction);
  }
  if (prediction === 'eps' && schedule['zeroTerminalSnr'] === true) {
    return problem('prediction', '"v" or "x0" with schedule.zeroTerminalSnr (pure noise tells no eps)', prediction);
  }
  if (!isNumber(latentScale) || latentScale <= 0) return problem('latentScale', 'a number above 0', latentScale);

  if (!isObject(defaults)) return problem('defaults', 'an object', defaults);
  const { sampler, steps, guidanceScale } = defaults;
  if (!(SAMPLERS as readonly unknown[]).includes(sampler)) {
    return problem('defaults.sampler', `one of ${SAMPLERS.join(', ')}`, sampler);
  }
  const { timesteps } = schedule as ScheduleConfig;
  if (!isCount(steps) || steps > timesteps) {
    return problem('defaults.steps', `a whole number from 1 to ${timesteps}, the timesteps of the schedule`, steps);
  }
  if (!isNumber(guidanceScale) || guidanceScale < 0)
    return problem('defaults.guidanceScale', 'a number from 0', guidanceScale);
  const { eta = 0, spacing } = defaults;
  if (!isNumber(eta) || eta < 0 || eta > 1) return problem('defaults.eta', 'a number from 0 to 1', eta);
  if (eta !== 0 && usualEta(sampler as SamplerName) === undefined)
    return problem('defaults.eta', `0 with sampler "${String(sampler)}"`, eta);
  if (spacing !== undefined && !(SPACINGS as readonly unknown[]).includes(spacing)) {
    return problem('defaults.spacing', `one of ${SPACINGS.join(', ')}`, spacing);
  }
  if (spacing === 'published') {
    const error = errorOf(() => publishedTimesteps(createSchedule(schedule as ScheduleConfig), steps));
    if (error !== undefined)
      return problem('defaults.steps', `a number of steps for published spacing (${error})`, steps);
  }

  if (!isObject(parts)) return problem('parts', 'an object', parts);
  for (const part of ['encoder', 'autoencoder', 'unet']) {
    if (!isObject(parts[part])) return problem(`parts.${part}`, 'an object', parts[part]);
  }
  if (!isObject(files)) return problem('files', 'an object', files);
  const misfit = findFileProblem(files, DRAWING_FILES);
  if (misfit) return problem(misfit.at, misfit.expected, files[misfit.file]);
  return undefined;
}

/**
 * The first size of one part that does not fit another part. A part that is malformed in itself is left to its own
 * `init…`, which says so better.
 */
function findMisfit({
  imageSize,
  defaults,
  parts: { encoder, autoencoder, unet },
}: ModelManifest): Problem | undefined {
  const sizes: readonly [at: string, received: number, expected: number, why: string][] = [
    ['parts.unet.localWidth', unet.localWidth, 3 * encoder.width, 'three times parts.encoder.width'],
    ['parts.unet.globalWidth', unet.globalWidth, encoder.globalWidth, 'parts.encoder.globalWidth'],
    ['parts.unet.inChannels', unet.inChannels, autoencoder.embedDim, 'parts.autoencoder.embedDim'],
    ['parts.unet.outChannels', unet.outChannels, unet.inChannels, 'parts.unet.inChannels'],
    ['parts.autoencoder.imageChannels', autoencoder.imageChannels, 3, 'red, green and blue'],
  ];
  for (const [at, received, expected, why] of sizes) {
    if (Number.isFinite(expected) && received !== expected) {
      return { at, expected: `${expected} (${why})`, received: describe(received) };
    }
  }
  if (Array.isArray(autoencoder.channelMults) && Array.isArray(unet.channelMults)) {
    const unit = downsamplingFactor(autoencoder) * 2 ** (unet.channelMults.length - 1);
    if (Number.isFinite(unit) && imageSize % unit !== 0) {
      const expected = `a multiple of ${unit} (by which parts.autoencoder and parts.unet reduce the sides)`;
      return { at: 'imageSize', expected, received: describe(imageSize) };
    }
  }
  if (defaults.guidanceScale !== 1 && !unet.nullToken) {
    const expected = '1 (parts.unet.nullToken is not set, so there is no guidance)';
    return { at: 'defaults.guidanceScale', expected, received: describe(defaults.guidanceScale) };
  }
  return undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function errorOf(f: () => unknown): string | undefined {
  try {
    f();
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/\.$/, '');
  }
}
