import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pictureBookVocabulary } from '@sgdiff/datasets';
import { disposeParams, paramsToSafetensors, type ParamTree } from '@sgdiff/nn';
import { MODEL_FORMAT, type ModelFile, type ModelManifest } from '@sgdiff/pipeline';
import { vocabularyToJson } from '@sgdiff/sg-schema';
import type { PictureBookConfig } from '../configs/config';
import { differences } from '../configs/differences';
import { requireData } from '../data/picture-store';
import { CliError } from '../errors';
import { requireWritableFolder, sha256, writeFileAtomic } from '../files';
import { hasStage, readStageRecord, STAGES, type RunFolder, type StageName, type StageRecord } from '../run-folder';
import { frozenParts, pictureBookDetector, trainedAutoencoder, trainedDetector, trainedPretrain, trainedUnet } from '../stages/open-stage';
import type { Terminal } from '../terminal';

/** Writes the model folder of a trained run: half precision weights, vocabulary, and last `model.json` with all hashes. */
export async function exportModel(config: PictureBookConfig, run: RunFolder, out: string, name: string, terminal: Terminal): Promise<void> {
  const trained = STAGES.filter((stage) => stage !== 'detector' || hasStage(run, stage));
  const records = new Map(trained.map((stage) => [stage, readStageRecord(run, stage)]));
  if (!records.has('detector')) terminal.note('No trained detector: the model can draw, but its graph compliance cannot be measured.');
  requireTrainedConfig(config, records);
  requireSameFrozenParts(run, records);
  if (existsSync(run.data)) requireData(run.data, config.data);
  for (const { stage, step, steps } of records.values()) {
    if (step < steps) terminal.note(`Note: "${stage}" stopped at step ${step} of ${steps}.`);
  }
  if (name.trim() === '') throw new CliError('--name is empty. Give the model a name.');
  requireWritableFolder(out);
  requireModelFolder(out);
  const files: Record<string, ModelFile> = {};
  const write = (file: string, bytes: Uint8Array): void => {
    writeFileAtomic(join(out, file), bytes);
    files[file] = { sha256: sha256(bytes), bytes: bytes.length };
  };
  const writeWeights = async (file: string, params: ParamTree): Promise<void> => {
    write(file, await paramsToSafetensors(params, { dtype: 'F16' }));
  };
  const pretrain = trainedPretrain(config, run);
  const autoencoder = trainedAutoencoder(config, run);
  const unet = trainedUnet(config, run);
  const detector = records.has('detector') ? trainedDetector(config, run) : undefined;
  try {
    write('vocab.json', new TextEncoder().encode(`${JSON.stringify(vocabularyToJson(pictureBookVocabulary()))}\n`));
    await writeWeights('encoder.safetensors', pretrain.encoder);
    if (config.pretrain.model.image !== null) await writeWeights('image-encoder.safetensors', pretrain.image);
    await writeWeights('autoencoder.safetensors', autoencoder);
    await writeWeights('unet.safetensors', unet);
    if (detector) await writeWeights('detector.safetensors', detector);
  } finally {
    for (const params of [pretrain, autoencoder, unet, detector]) if (params) disposeParams(params);
  }
  const { diffusion } = config;
  const manifest: ModelManifest = {
    format: MODEL_FORMAT,
    name,
    licence: 'Apache-2.0',
    description: 'Draws picture-book scenes from scene graphs.',
    imageSize: config.data.size,
    schedule: diffusion.schedule,
    prediction: diffusion.prediction,
    latentScale: records.get('diffusion')?.facts['latentScale'] as number,
    defaults: { sampler: 'dpm-solver++2m', steps: diffusion.samplingSteps, guidanceScale: diffusion.guidanceScale },
    parts: {
      encoder: config.pretrain.model.encoder,
      autoencoder: config.autoencoder.model,
      unet: diffusion.model,
      evaluation: {
        pretrain: config.pretrain.model,
        ...(detector ? { detector: pictureBookDetector(config), thresholds: records.get('detector')?.facts['thresholds'] } : {}),
        data: config.data,
      },
    },
    files,
    training: [...records.values()].map(({ stage, step, steps, seconds, backend }) => ({ stage, step, steps, seconds, backend })),
  };
  writeFileAtomic(join(out, 'model.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  terminal.say(`Wrote ${out}: ${(bytes / 1e6).toFixed(1)} MB in ${Object.keys(files).length + 1} files.`);
  terminal.result({ model: out, bytes, files: Object.keys(files) });
}

/** What shapes the weights and their use must be as it was in training; the defaults for drawing may be chosen anew. */
function requireTrainedConfig(config: PictureBookConfig, records: ReadonlyMap<StageName, StageRecord>): void {
  const fixed = (stage: unknown): unknown => {
    const { model, prediction, schedule } = stage as { model?: unknown; prediction?: unknown; schedule?: unknown };
    return { model, prediction, schedule };
  };
  for (const [stage, record] of records) {
    const changed = differences(fixed(record.config), fixed(config[stage]), stage);
    if (changed.length === 0) continue;
    throw new CliError(`The stage "${stage}" was trained with another config:\n${changed.join('\n')}\nGive the --config that it was trained with.`);
  }
}

/** The U-Net works only with the encoder and the autoencoder that it was trained on. */
function requireSameFrozenParts(run: RunFolder, records: ReadonlyMap<StageName, StageRecord>): void {
  const { frozen } = records.get('diffusion')?.config as { frozen?: unknown };
  const changed = differences(frozen, frozenParts(run), 'weights');
  if (changed.length === 0) return;
  throw new CliError(
    `${run.path}: these weights are not the ones that "diffusion" was trained on:\n${changed.join('\n')}\n` +
      'Train "diffusion" anew on them, or bring the old ones back.',
  );
}

/** A folder of something else is not mixed with a model. */
function requireModelFolder(out: string): void {
  if (!existsSync(out) || readdirSync(out).length === 0 || existsSync(join(out, 'model.json'))) return;
  throw new CliError(`${out} holds files that are no model. Choose another folder with --out.`);
}
