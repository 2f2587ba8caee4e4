import type { AutoencoderConfig } from '@sgdiff/latent-autoencoder';
import type { UnetConfig } from '@sgdiff/diffusion-unet';
import type { Prediction, ScheduleConfig } from '@sgdiff/sampler';
import type { SgEncoderConfig } from '@sgdiff/sg-encoder';
import { ModelError } from './errors';
import { SAMPLERS, type SamplerName } from './samplers';

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
  readonly defaults: { readonly sampler: SamplerName; readonly steps: number; readonly guidanceScale: number };
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
export const DRAWING_FILES = ['vocab.json', 'encoder.safetensors', 'autoencoder.safetensors', 'unet.safetensors'] as const;

/**
 * Checks `model.json`.
 *
 * @param where Path or URL of the file, for messages.
 * @throws ModelError `invalid_manifest` or `unsupported_format`.
 */
export function parseManifest(text: string, where: string): ModelManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ModelError(`${where} is not valid JSON: ${(cause as Error).message}. Get the model folder again.`, {
      code: 'invalid_manifest',
      file: 'model.json',
      cause,
    });
  }
  const problem = findProblem(value);
  if (problem !== undefined) {
    const code = problem.startsWith('format') ? 'unsupported_format' : 'invalid_manifest';
    throw new ModelError(`${where}: ${problem}`, { code, file: 'model.json' });
  }
  return value as ModelManifest;
}

function findProblem(value: unknown): string | undefined {
  if (!isObject(value)) return `expected an object, received ${describe(value)}. Get the model folder again.`;
  if (value['format'] !== MODEL_FORMAT) {
    return `format: expected ${MODEL_FORMAT}, received ${describe(value['format'])}. Use the version of this package that the model was made for.`;
  }
  const wanted: Record<string, 'string' | 'number' | 'object'> = {
    name: 'string',
    licence: 'string',
    imageSize: 'number',
    schedule: 'object',
    prediction: 'string',
    latentScale: 'number',
    defaults: 'object',
    parts: 'object',
    files: 'object',
  };
  for (const [key, type] of Object.entries(wanted)) {
    const there = value[key];
    if (type === 'object' ? !isObject(there) : typeof there !== type) {
      return `${key}: expected ${type === 'object' ? 'an' : 'a'} ${type}, received ${describe(there)}. Get the model folder again.`;
    }
  }
  const parts = value['parts'] as Record<string, unknown>;
  for (const part of ['encoder', 'autoencoder', 'unet']) {
    if (!isObject(parts[part])) return `parts.${part}: expected an object, received ${describe(parts[part])}. Get the model folder again.`;
  }
  const files = value['files'] as Record<string, unknown>;
  for (const file of DRAWING_FILES) {
    const entry = files[file];
    if (!isObject(entry) || typeof entry['sha256'] !== 'string') {
      return `files["${file}"]: expected an object with sha256, received ${describe(entry)}. Get the model folder again.`;
    }
  }
  const sampler = (value['defaults'] as Record<string, unknown>)['sampler'];
  if (!(SAMPLERS as readonly unknown[]).includes(sampler)) {
    return `defaults.sampler: expected one of ${SAMPLERS.join(', ')}, received ${describe(sampler)}.`;
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}
