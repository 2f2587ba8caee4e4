import { publishedUnetConfig, publishedName as unetName, unetTensors, type UnetConfig } from '@sgdiff/diffusion-unet';
import {
  autoencoderTensors,
  publishedName as autoencoderName,
  publishedVqF8Config,
  type AutoencoderConfig,
} from '@sgdiff/latent-autoencoder';
import { lpipsSource, lpipsTensors, publishedLpipsConfig, type LpipsConfig } from '@sgdiff/latent-autoencoder/train';
import {
  clipForm,
  clipSource,
  clipTensors,
  clipVitB32Config,
  isOtherClipTensor,
  type ClipVisionConfig,
} from '@sgdiff/masked-contrastive-pretrain';
import { inceptionSource, inceptionTensors, isInceptionExtra } from '@sgdiff/metrics';
import type { SourceLayout, TensorEntry, TensorSource } from '@sgdiff/nn';
import {
  publishedName as encoderName,
  publishedSgEncoderConfig,
  sgEncoderTensors,
  type SgEncoderConfig,
  type SgEncoderWords,
} from '@sgdiff/sg-encoder';
import type { FileNames } from './file-names';
import type { ImportKind, ImportOptions } from './import-plan';
import { publishedManifest, type PresetManifest } from './presets';
import { identifyWords, type PlannedWords } from './words';

/** What the manifest says about a part, by kind of part. */
export type PartConfigs = {
  readonly encoder: SgEncoderConfig;
  readonly autoencoder: AutoencoderConfig;
  readonly unet: UnetConfig;
  readonly 'image-encoder': ClipVisionConfig;
  readonly inception: InceptionConfig;
  readonly perceptual: LpipsConfig;
};

/** There is one network of this name; the manifest says whose weights it has. */
export type InceptionConfig = { readonly weights: 'fid' };

/** The weights of a part and where a file has them (names without `module.`). */
export type PartSpec = {
  readonly kind: keyof PartConfigs;
  readonly config: PartConfigs[keyof PartConfigs];
  readonly entries: readonly TensorEntry[];
  source(path: string): TensorSource;
};

/** Names that a file may hold besides the weights, and why they are left out. */
export type IgnorableGroup = { readonly reason: string; includes(name: string): boolean };

/** What a file of a kind should hold, as far as its own names and shapes decide it. */
export type KindSpec = {
  readonly parts: readonly PartSpec[];
  /** The first group that includes a name has it. */
  readonly ignorable: readonly IgnorableGroup[];
  readonly words?: PlannedWords;
  readonly manifest?: PresetManifest;
};

export const KIND_SPECS: Readonly<Record<ImportKind, (names: FileNames, options: ImportOptions) => KindSpec>> = {
  sgdiff: fullCheckpoint,
  sip: graphEncoder,
  'vq-f8': autoencoder,
  'clip-vit-b32': clip,
  'inception-fid': inception,
  lpips: perceptual,
};

/** A Lightning checkpoint of stage C: all three parts. */
function fullCheckpoint(names: FileNames, options: ImportOptions): KindSpec {
  const { weights = 'ema', parts: configs = {} } = options;
  const words = countWords(names, ENCODER);
  const encoder = { ...(configs.encoder ?? publishedSgEncoderConfig(words)), ...words };
  const unet = configs.unet ?? publishedUnetConfig;
  const ema = unetPart(unet, emaName);
  const raw = unetPart(unet, (name) => `${UNET}${name}`);
  const [taken, left] = weights === 'ema' ? [ema, raw] : [raw, ema];
  const leftNames = new Set(left.entries.map(({ path }) => left.source(path).name));
  return {
    parts: [
      encoderPart(encoder, ENCODER),
      autoencoderPart(configs.autoencoder ?? publishedVqF8Config, AUTOENCODER),
      taken,
    ],
    ignorable: [
      {
        reason:
          weights === 'ema'
            ? 'raw weights of the U-Net (its moving average is taken)'
            : 'moving average of the U-Net (its raw weights are taken)',
        includes: (name) => leftNames.has(name),
      },
      EMA_STATE,
      NOISE_SCHEDULE,
      TRAINING_STATE,
      TRAINING_LOSS,
      PRETRAINING_CLIP,
    ],
    words: identifyWords(words),
    manifest: publishedManifest(identifyWords(words), { ...configs, encoder }),
  };
}

/** The pre-trained graph encoder: a file of its own (`sip_*.pt`), or that of a full checkpoint. */
function graphEncoder(names: FileNames, { parts = {} }: ImportOptions): KindSpec {
  const prefix = names.has(`${ENCODER}obj_embeddings.weight`) ? ENCODER : '';
  const words = countWords(names, prefix);
  const config = { ...(parts.encoder ?? publishedSgEncoderConfig(words)), ...words };
  return {
    parts: [encoderPart(config, prefix)],
    ignorable: [PRETRAINING_CLIP, TRAINING_STATE, ...(prefix === '' ? [] : otherParts(prefix))],
    words: identifyWords(words),
  };
}

/** The autoencoder: a file of its own, or that of a full checkpoint. */
function autoencoder(names: FileNames, { parts = {} }: ImportOptions): KindSpec {
  const prefix = names.has(`${AUTOENCODER}quantize.embedding.weight`) ? AUTOENCODER : '';
  return {
    parts: [autoencoderPart(parts.autoencoder ?? publishedVqF8Config, prefix)],
    ignorable: [TRAINING_LOSS, TRAINING_STATE, ...(prefix === '' ? [] : otherParts(prefix))],
  };
}

/** CLIP's vision tower: OpenAI's archive, the safetensors of transformers, or what a graph encoder's checkpoint keeps of it. */
function clip(names: FileNames): KindSpec {
  const { form, prefix } = clipForm(names.all) ?? { form: 'openai', prefix: 'visual.' };
  const encoder: PartSpec = {
    kind: 'image-encoder',
    config: clipVitB32Config,
    entries: clipTensors(clipVitB32Config),
    source: (path) => clipSource(path, clipVitB32Config, form, prefix),
  };
  const inEncoderFile = prefix.includes('clip_model.');
  return {
    parts: [encoder],
    // The first group that has a name takes it: a bare logit_scale beside a graph encoder is the encoder's.
    ignorable: [
      {
        reason: 'the graph encoder',
        includes: (name) =>
          inEncoderFile && /^(logit_scale$|(obj|pred)_embeddings\.|graph_(conv|net|projection)\.)/.test(name),
      },
      { reason: 'the rest of CLIP', includes: isOtherClipTensor },
      TRAINING_STATE,
    ],
  };
}

/** The network of the Fréchet distance, as pytorch-fid and torch-fidelity hand it out. */
function inception(): KindSpec {
  const network: PartSpec = {
    kind: 'inception',
    config: { weights: 'fid' },
    entries: inceptionTensors(),
    source: inceptionSource,
  };
  return { parts: [network], ignorable: [{ reason: 'only needed in training', includes: isInceptionExtra }] };
}

/**
 * The perceptual distance: whole, as the module of the lpips package or within a checkpoint of the autoencoder, or in two files:
 * torchvision's VGG16 and the heads of the lpips package.
 */
function perceptual(names: FileNames): KindSpec {
  const whole = names.all.find((name) => name.endsWith('net.slice1.0.weight'));
  const prefix = whole?.slice(0, -'net.slice1.0.weight'.length) ?? '';
  const form = whole === undefined ? 'torchvision' : 'taming';
  const distance: PartSpec = {
    kind: 'perceptual',
    config: publishedLpipsConfig,
    entries: lpipsTensors(publishedLpipsConfig),
    source(path) {
      const source = lpipsSource(path, form);
      return { ...source, name: `${prefix}${source.name}` };
    },
  };
  const constants = [`${prefix}scaling_layer.shift`, `${prefix}scaling_layer.scale`];
  return {
    parts: [distance],
    ignorable: [
      { reason: 'constants', includes: (name) => constants.includes(name) },
      { reason: 'the heads a second time', includes: (name) => name.startsWith(`${prefix}lins.`) },
      {
        reason: 'the classifier of VGG16',
        includes: (name) => form === 'torchvision' && name.startsWith('classifier.'),
      },
      // Within a checkpoint of the autoencoder stand its own weights and the rest of its loss.
      {
        reason: 'the rest of the checkpoint',
        includes: (name) => prefix.endsWith('loss.perceptual_loss.') && !name.startsWith(prefix),
      },
    ],
  };
}

const UNET = 'model.diffusion_model.';
const AUTOENCODER = 'first_stage_model.';
const ENCODER = 'cond_stage_model.';

/** The moving average's names have lost all their dots, so they are built from known names, never taken apart. */
function emaName(name: string): string {
  return `model_ema.${`diffusion_model.${name}`.replaceAll('.', '')}`;
}

function encoderPart(config: SgEncoderConfig, prefix: string): PartSpec {
  return {
    kind: 'encoder',
    config,
    entries: sgEncoderTensors(config),
    source: (path) => ({
      name: `${prefix}${published(path, encoderName(path))}`,
      layout: /Embedding\.weight$/.test(path) || !path.endsWith('.weight') ? 'same' : 'linear',
    }),
  };
}

function autoencoderPart(config: AutoencoderConfig, prefix: string): PartSpec {
  const entries = autoencoderTensors(config);
  const layouts = layoutsByRank(entries);
  return {
    kind: 'autoencoder',
    config,
    entries,
    source: (path) => ({
      name: `${prefix}${autoencoderName(path)}`,
      layout: path === 'quantize.embedding.weight' ? 'same' : layouts(path),
    }),
  };
}

function unetPart(config: UnetConfig, nameInFile: (name: string) => string): PartSpec {
  const entries = unetTensors(config);
  const layouts = layoutsByRank(entries);
  return {
    kind: 'unet',
    config,
    entries,
    source: (path) => ({ name: nameInFile(published(path, unetName(path, config))), layout: layouts(path) }),
  };
}

/** Four axes are a convolution, two a linear layer, fewer are alike everywhere. */
function layoutsByRank(entries: readonly TensorEntry[]): (path: string) => SourceLayout {
  const ranks = new Map(entries.map(({ path, shape }) => [path, shape.length]));
  return (path) => (ranks.get(path) === 4 ? 'conv' : ranks.get(path) === 2 ? 'linear' : 'same');
}

function published(path: string, name: string | undefined): string {
  if (name !== undefined) return name;
  throw new TypeError(`planImport: the published model has no weight "${path}". Give a config without it.`);
}

/** The counts of words that the embedding tables were made for; the object table has one spare row. */
function countWords(names: FileNames, prefix: string): SgEncoderWords {
  const rows = (table: string): number | undefined => {
    const shape = names.shapeOf(`${prefix}${table}.weight`);
    return shape?.length === 2 ? shape[0] : undefined;
  };
  // Without a table the published sizes stand in, so that the error lists what is missing.
  return {
    objectCount: Math.max(1, (rows('obj_embeddings') ?? 180) - 1),
    predicateCount: rows('pred_embeddings') ?? 46,
  };
}

const EMA_STATE: IgnorableGroup = {
  reason: 'state of the moving average',
  includes: (name) => name === 'model_ema.decay' || name === 'model_ema.num_updates',
};

const SCHEDULE_BUFFERS: ReadonlySet<string> = new Set([
  'betas',
  'alphas_cumprod',
  'alphas_cumprod_prev',
  'sqrt_alphas_cumprod',
  'sqrt_one_minus_alphas_cumprod',
  'log_one_minus_alphas_cumprod',
  'sqrt_recip_alphas_cumprod',
  'sqrt_recipm1_alphas_cumprod',
  'posterior_variance',
  'posterior_log_variance_clipped',
  'posterior_mean_coef1',
  'posterior_mean_coef2',
  'lvlb_weights',
  'logvar',
  'scale_factor',
]);

const NOISE_SCHEDULE: IgnorableGroup = {
  reason: 'noise schedule (computed anew)',
  includes: (name) => SCHEDULE_BUFFERS.has(name),
};

const TRAINING_STATE: IgnorableGroup = {
  reason: 'state of the training',
  includes: (name) =>
    /^(optimizer|optimizer_states|lr_schedulers|callbacks|loops|scaler|epoch|global_step)(\.|$)/.test(name),
};

const TRAINING_LOSS: IgnorableGroup = {
  reason: 'training loss of the autoencoder',
  includes: (name) => /^(first_stage_model\.)?loss\./.test(name),
};

const PRETRAINING_CLIP: IgnorableGroup = {
  reason: 'CLIP, which the encoder was trained against',
  includes: (name) => /^(cond_stage_model\.)?clip_model\./.test(name),
};

/** What a full checkpoint holds besides the part of that prefix. */
function otherParts(prefix: string): IgnorableGroup[] {
  const others = [UNET, 'model_ema.', AUTOENCODER, ENCODER].filter((other) => other !== prefix);
  return [
    { reason: 'other parts of the checkpoint', includes: (name) => others.some((other) => name.startsWith(other)) },
    NOISE_SCHEDULE,
  ];
}
