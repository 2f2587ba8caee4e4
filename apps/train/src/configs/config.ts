import { pictureBookVocabulary } from '@sgdiff/datasets';
import { downsamplingFactor } from '@sgdiff/latent-autoencoder';
import { z } from 'zod';
import { CliError } from '../errors';
import { readUserText } from '../files';
import { pictureBook } from './picture-book';

const count = z.int().positive();
const rate = z.number().positive();
const share = z.number().min(0).max(1);
/** Of a mean over steps: with 1 it would never change, and AdamW divide by zero. */
const decay = z.number().min(0).lt(1);

const optimiser = z.strictObject({
  learningRate: rate,
  warmupSteps: z.int().nonnegative(),
  decayShare: share,
  finalShare: share,
  weightDecay: z.number().nonnegative(),
  beta1: decay.optional(),
  beta2: decay.optional(),
  clipNorm: rate,
  emaDecay: share,
});

const stage = { batchSize: count, steps: count, seed: z.int(), optimiser };
const sizes = z.array(count).min(1).readonly();
const factors = z.array(count).readonly();

const autoencoderModel = z.strictObject({
  imageChannels: count,
  stem: z.literal([1, 2, 4]),
  baseChannels: count,
  channelMults: sizes,
  numResBlocks: count,
  decoderResBlocks: count.optional(),
  attentionLevels: z.array(z.int().nonnegative()).readonly(),
  middle: z.enum(['attention', 'blocks', 'none']).optional(),
  zChannels: count,
  embedDim: count,
  codeGroups: count.optional(),
  codebookSize: count,
  groups: count,
});

const encoderModel = z.strictObject({
  objectCount: count,
  predicateCount: count,
  width: count,
  layers: count,
  hiddenWidth: count,
  globalWidth: count,
  maxTriples: count,
  norm: z.enum(['none', 'layer']).optional(),
  residual: z.boolean().optional(),
  overflow: z.enum(['error', 'first']).optional(),
});

const imageEncoderModel = z.strictObject({
  imageSize: count,
  stemWidth: count,
  stemBlocks: count,
  width: count,
  blocks: count,
  narrowWidth: count,
  hiddenWidth: count,
  globalWidth: count,
  groups: count,
});

const pretrainModel = z.strictObject({
  encoder: encoderModel,
  image: imageEncoderModel.nullable(),
  imageSize: count,
  tokens: z.strictObject({ rows: count, columns: count, width: count, classToken: z.boolean().optional() }),
  target: z.enum(['pixels', 'features']),
  reconstruction: z.strictObject({ heads: count, innerWidth: count.optional(), hiddenWidth: count.optional() }),
  maskProbability: share,
  maskedShare: share,
  maskedWeight: z.number().nonnegative(),
  hardNegatives: z.boolean().optional(),
});

const unetModel = z.strictObject({
  inChannels: count,
  outChannels: count,
  modelChannels: count,
  channelMults: sizes,
  numResBlocks: count,
  attentionFactors: factors,
  crossOnlyFactors: factors.optional(),
  headChannels: count,
  transformerDepth: count,
  feedForwardMult: count.optional(),
  contextWidth: count,
  localWidth: count,
  globalWidth: count,
  globalInTime: z.boolean(),
  maskPadding: z.boolean(),
  nullToken: z.boolean().optional(),
  contextNorm: z.boolean().optional(),
  groups: count,
});

/** One experiment, whole: data, the models and how each is trained. JSON files given with --config have this form. */
export const pictureBookConfigSchema = z.strictObject({
  data: z.strictObject({
    seed: z.int(),
    size: z.literal([64, 128, 256]),
    train: count,
    validation: count,
    test: count,
    detector: count,
  }),
  autoencoder: z.strictObject({
    ...stage,
    model: autoencoderModel,
    loss: z.strictObject({
      l1: z.number(),
      l2: z.number(),
      edge: z.number(),
      codebook: z.number(),
      beta: z.number().nonnegative().optional(),
      legacy: z.boolean().optional(),
    }),
    // `model` names the folder of a perceptual distance, as `sgdiff import … --as lpips` writes it.
    perceptual: z.strictObject({ model: z.string().min(1), weight: rate.default(1) }).optional(),
    // A discriminator trained against the autoencoder from `startStep` on. Unless given, the numbers of the published first stage.
    adversarial: z
      .strictObject({
        weight: rate.default(0.6),
        startStep: z.int().nonnegative().default(0),
        layers: count.default(2),
        channels: count.default(64),
        learningRate: rate,
        beta1: decay.default(0.5),
        beta2: decay.default(0.9),
      })
      .optional(),
  }),
  // `imageEncoder` names the folder of a frozen image encoder that takes the place of one trained along.
  pretrain: z.strictObject({ ...stage, model: pretrainModel, imageEncoder: z.string().min(1).optional() }),
  diffusion: z.strictObject({
    ...stage,
    model: unetModel,
    prediction: z.enum(['eps', 'v']),
    minSnrGamma: z.number().positive().nullable(),
    dropCondition: share,
    schedule: z.strictObject({
      kind: z.enum(['sqrt-linear', 'linear', 'cosine', 'sigmoid']),
      timesteps: count,
      betaStart: rate,
      betaEnd: rate,
      zeroTerminalSnr: z.boolean().optional(),
    }),
    guidanceScale: z.number().nonnegative(),
    samplingSteps: count,
  }),
  detector: z.strictObject({ ...stage }),
});

export type PictureBookConfig = z.infer<typeof pictureBookConfigSchema>;

/** The named preset, or a JSON file whose entries replace the preset's. */
export function loadConfig(path: string | undefined): PictureBookConfig {
  if (path === undefined) return pictureBook;
  let given: unknown;
  try {
    given = JSON.parse(readUserText(path, 'The config'));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${path} is not valid JSON: ${(error as Error).message}.`, { cause: error });
  }
  const merged = merge(pictureBook, given);
  const parsed = pictureBookConfigSchema.safeParse(merged);
  const lines = parsed.success
    ? misfits(parsed.data)
    : parsed.error.issues.map((issue) => `  ${issue.path.join('.') || '(top)'}: ${issue.message}${received(issue, merged)}`);
  if (parsed.success && lines.length === 0) return parsed.data;
  throw new CliError(`${path} does not fit the config:\n${lines.join('\n')}\nEntries left out keep the preset's value.`);
}

/** The value an issue is about, where its message does not tell. */
function received({ code, path, message }: z.core.$ZodIssue, config: unknown): string {
  if (code === 'unrecognized_keys' || message.includes('received')) return '';
  const value = path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)[key], config);
  return `, received ${JSON.stringify(value)}`;
}

/** Where one stage does not fit another. What is wrong within a model, its own `init…` says. */
export function misfits({ data, autoencoder, pretrain, diffusion }: PictureBookConfig): string[] {
  const { encoder, image, imageSize } = pretrain.model;
  const frozenImages = pretrain.imageEncoder !== undefined;
  const unet = diffusion.model;
  const words = pictureBookVocabulary();
  const equal: readonly (readonly [at: string, received: number, expected: number, why: string])[] = [
    ['autoencoder.model.imageChannels', autoencoder.model.imageChannels, 3, 'red, green and blue'],
    ...(frozenImages ? [] : [['pretrain.model.imageSize', imageSize, data.size, 'data.size'] as const]),
    ['pretrain.model.encoder.objectCount', encoder.objectCount, words.objects.length, 'the words of picture-book'],
    ['pretrain.model.encoder.predicateCount', encoder.predicateCount, words.predicates.length, 'the predicates of picture-book'],
    ['diffusion.model.inChannels', unet.inChannels, autoencoder.model.embedDim, 'autoencoder.model.embedDim'],
    ['diffusion.model.outChannels', unet.outChannels, autoencoder.model.embedDim, 'autoencoder.model.embedDim'],
    ['diffusion.model.localWidth', unet.localWidth, 3 * encoder.width, 'three times pretrain.model.encoder.width'],
    ['diffusion.model.globalWidth', unet.globalWidth, encoder.globalWidth, 'pretrain.model.encoder.globalWidth'],
  ];
  const lines = equal
    .filter(([, received, expected]) => received !== expected)
    .map(([at, received, expected, why]) => `  ${at}: expected ${expected} (${why}), received ${received}`);
  const unit = downsamplingFactor(autoencoder.model) * 2 ** (unet.channelMults.length - 1);
  if (data.size % unit !== 0) {
    lines.push(`  data.size: expected a multiple of ${unit} (by which autoencoder.model and diffusion.model reduce the sides), received ${data.size}`);
  }
  const layers = autoencoder.adversarial?.layers ?? 0;
  const mostLayers = Math.floor(Math.log2(data.size / 3)); // a patch that 4×4 convolutions still fit into
  if (layers > mostLayers) {
    lines.push(`  autoencoder.adversarial.layers: expected at most ${mostLayers} (pictures of ${data.size} pixels, data.size), received ${layers}`);
  }
  if (frozenImages && image !== null) {
    lines.push('  pretrain.model.image: expected null (pretrain.imageEncoder takes its place), received an image encoder to train');
  }
  if (!frozenImages && image === null) {
    lines.push('  pretrain.model.image: expected an image encoder to train (pretrain.imageEncoder names none that is trained already), received null');
  }
  if (encoder.overflow === 'first') {
    lines.push(`  pretrain.model.encoder.overflow: expected "error" (this command drops no relations), received "first"`);
  }
  if (!unet.nullToken && (diffusion.guidanceScale !== 1 || diffusion.dropCondition > 0)) {
    lines.push('  diffusion.model.nullToken: expected true (diffusion.guidanceScale is not 1 or diffusion.dropCondition is not 0), received false');
  }
  if (diffusion.schedule.zeroTerminalSnr && diffusion.prediction === 'eps') {
    lines.push('  diffusion.prediction: expected "v" (diffusion.schedule.zeroTerminalSnr: pure noise tells no eps), received "eps"');
  }
  if (diffusion.samplingSteps > diffusion.schedule.timesteps) {
    lines.push(`  diffusion.samplingSteps: expected at most ${diffusion.schedule.timesteps} (diffusion.schedule.timesteps), received ${diffusion.samplingSteps}`);
  }
  return lines;
}

/** Objects are merged entry by entry, everything else is replaced. */
function merge(base: unknown, over: unknown): unknown {
  if (!isObject(base) || !isObject(over)) return over === undefined ? base : over;
  const out: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) out[key] = merge(base[key], value);
  return out;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
