import { publishedUnetConfig, type UnetConfig } from '@sgdiff/diffusion-unet';
import { publishedVqF8Config, type AutoencoderConfig } from '@sgdiff/latent-autoencoder';
import type { ScheduleConfig } from '@sgdiff/sampler';
import { publishedSgEncoderConfig, type SgEncoderConfig } from '@sgdiff/sg-encoder';
import { cocoStuffWords, visualGenomeWords, type PlannedWords } from './words';
import type { Vocabulary } from '@sgdiff/sg-schema';

export const PRESET_NAMES = ['sgdiff-vg-256', 'sgdiff-coco-256'] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

/** The three parts of a model that draws. */
export type ModelParts = {
  readonly encoder: SgEncoderConfig;
  readonly autoencoder: AutoencoderConfig;
  readonly unet: UnetConfig;
};

/** What stands in a `model.json` and does not depend on the weights' origin: all but format, name, licence and files. */
export type PresetManifest = {
  readonly description: string;
  readonly imageSize: number;
  readonly schedule: ScheduleConfig;
  readonly prediction: 'eps';
  readonly latentScale: number;
  readonly defaults: {
    readonly sampler: 'ddim';
    readonly steps: number;
    readonly spacing: 'published';
    readonly eta: number;
    readonly guidanceScale: number;
  };
  readonly parts: ModelParts;
};

export type ModelPreset = {
  readonly name: PresetName;
  readonly manifest: PresetManifest;
  /** The words the weights were trained with. */
  readonly vocabulary: Vocabulary;
};

/**
 * The published systems, as released for Visual Genome and COCO-Stuff at 256 × 256.
 *
 * @see arXiv:2211.11138; the noise levels, the autoencoder and the U-Net are those of arXiv:2112.10752's LDM-8.
 */
export const PRESETS: Readonly<Record<PresetName, ModelPreset>> = {
  'sgdiff-vg-256': preset('sgdiff-vg-256', visualGenomeWords),
  'sgdiff-coco-256': preset('sgdiff-coco-256', cocoStuffWords),
};

/** A preset by name; undefined for any other text. */
export function modelPreset(name: string): ModelPreset | undefined {
  return Object.hasOwn(PRESETS, name) ? PRESETS[name as PresetName] : undefined;
}

/** The published system for any words; `parts` replaces single configs. */
export function publishedManifest(words: PlannedWords, parts: Partial<ModelParts> = {}): PresetManifest {
  return {
    description: `The published SGDiff at 256 px, for scene graphs in ${words.title}.`,
    imageSize: 256,
    schedule: { kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 },
    prediction: 'eps',
    latentScale: 1,
    defaults: { sampler: 'ddim', spacing: 'published', steps: 200, eta: 1, guidanceScale: 1 },
    parts: {
      encoder: parts.encoder ?? publishedSgEncoderConfig(words),
      autoencoder: parts.autoencoder ?? publishedVqF8Config,
      unet: parts.unet ?? publishedUnetConfig,
    },
  };
}

function preset(name: PresetName, words: PlannedWords & { readonly vocabulary: Vocabulary }): ModelPreset {
  return { name, manifest: publishedManifest(words), vocabulary: words.vocabulary };
}
