import { z } from 'zod';
import { CliError } from '../errors';
import { readUserText } from '../files';
import { pictureBook } from './picture-book';

const count = z.int().positive();
const rate = z.number().positive();
const share = z.number().min(0).max(1);

const optimiser = z.strictObject({
  learningRate: rate,
  warmupSteps: z.int().nonnegative(),
  finalShare: share,
  weightDecay: z.number().nonnegative(),
  clipNorm: rate,
  emaDecay: share,
});

const stage = { batchSize: count, steps: count, seed: z.int(), optimiser };
const sizes = z.array(count).min(1);
const factors = z.array(count);

const autoencoderModel = z.strictObject({
  imageChannels: z.literal(3),
  stem: z.union([z.literal(1), z.literal(2)]),
  baseChannels: count,
  channelMults: sizes,
  numResBlocks: count,
  attentionLevels: z.array(z.int().nonnegative()),
  zChannels: count,
  embedDim: count,
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
  norm: z.enum(['none', 'layer']),
  residual: z.boolean(),
});

const unetModel = z.strictObject({
  inChannels: count,
  outChannels: count,
  modelChannels: count,
  channelMults: sizes,
  numResBlocks: count,
  attentionFactors: factors,
  headChannels: count,
  contextWidth: count,
  localWidth: count,
  globalWidth: count,
  globalInTime: z.boolean(),
  maskPadding: z.boolean(),
  groups: count,
  transformerDepth: count,
});

/** One experiment, whole: data, the models and how each is trained. JSON files given with --config have this form. */
export const pictureBookConfigSchema = z.strictObject({
  data: z.strictObject({
    seed: z.int(),
    size: z.union([z.literal(64), z.literal(128), z.literal(256)]),
    train: count,
    validation: count,
    test: count,
    detector: count,
  }),
  autoencoder: z.strictObject({ ...stage, model: autoencoderModel }),
  pretrain: z.strictObject({ ...stage, model: encoderModel, maskProbability: share }),
  diffusion: z.strictObject({
    ...stage,
    model: unetModel,
    prediction: z.enum(['eps', 'v']),
    minSnrGamma: z.number().positive().nullable(),
    dropCondition: share,
    schedule: z.strictObject({
      kind: z.enum(['sqrt-linear', 'linear', 'cosine']),
      timesteps: count,
      betaStart: rate,
      betaEnd: rate,
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
  const parsed = pictureBookConfigSchema.safeParse(merge(pictureBook, given));
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.') || '(top)'}: ${issue.message}`);
  throw new CliError(`${path} does not fit the config:\n${lines.join('\n')}\nEntries left out keep the preset's value.`);
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
