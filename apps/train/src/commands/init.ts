import { resolve } from 'node:path';
import { initUnet } from '@sgdiff/diffusion-unet';
import { initAutoencoder } from '@sgdiff/latent-autoencoder';
import { createRng, disposeParams, flattenParams, type ParamTree, type Rng } from '@sgdiff/nn';
import { MODEL_FORMAT } from '@sgdiff/pipeline';
import { modelPreset, partSummary, partTensors, PRESET_NAMES, type ModelParts, type PartSize, type Precision } from '@sgdiff/published-models';
import { initSgEncoder } from '@sgdiff/sg-encoder';
import { vocabularyToJson } from '@sgdiff/sg-schema';
import type { Tensor } from '@tensorflow/tfjs-core';
import { CliError } from '../errors';
import { writeModelFolder, type StreamedWeights } from '../model-folder';
import { stoppable } from '../stop-signals';
import type { Terminal } from '../terminal';
import { modelText } from './import';

export type InitOptions = { readonly preset: string; readonly seed: number; readonly out: string; readonly precision: Precision };

/** What `--json` prints. */
export type InitResult = {
  readonly model: string;
  readonly parts: Readonly<Record<string, PartSize>>;
  readonly seed: number;
  readonly bytes: number;
  readonly seconds: number;
};

/**
 * Writes the model folder of a preset with fresh weights, which draw noise: to measure a size, or to begin training from. Needs a
 * backend. One part is in memory at a time.
 *
 * @param parts For tests: other sizes than the preset's.
 */
export async function initModel(options: InitOptions, terminal: Terminal, parts?: ModelParts): Promise<InitResult> {
  const { seed, precision } = options;
  const out = resolve(options.out);
  const preset = modelPreset(options.preset);
  if (!preset) throw new CliError(`Unknown preset "${options.preset}", expected one of: ${PRESET_NAMES.join(', ')}.`);
  const begun = performance.now();
  const { vocabulary, name } = preset;
  const manifest = { ...preset.manifest, ...(parts ? { parts } : {}) };
  const bytes = await stoppable((signal) =>
    writeModelFolder(
      out,
      {
        precision,
        weights: freshParts(manifest.parts, createRng('init', seed)),
        texts: { 'vocab.json': `${JSON.stringify(vocabularyToJson(vocabulary))}\n` },
        manifest: (files) =>
          modelText({
            format: MODEL_FORMAT,
            name: `${name}-untrained-${seed}`,
            licence: 'CC0-1.0',
            ...manifest,
            description: `${manifest.description} Fresh weights of seed ${seed}, not trained: draws noise.`,
            files,
          }),
      },
      { terminal, doing: 'making', signal },
    ),
  );
  const result = { model: out, parts: partSummary(manifest), seed, bytes, seconds: (performance.now() - begun) / 1000 };
  terminal.say(`Wrote ${out}: ${(bytes / 1e6).toFixed(1)} MB of fresh weights, ${result.seconds.toFixed(1)} s.`);
  terminal.result(result);
  return result;
}

function freshParts({ encoder, autoencoder, unet }: ModelParts, rng: Rng): StreamedWeights[] {
  return [
    { ...fresh('encoder', () => initSgEncoder(encoder, rng.fork('encoder'))), tensors: partTensors('encoder', encoder) },
    { ...fresh('autoencoder', () => initAutoencoder(autoencoder, rng.fork('autoencoder'))), tensors: partTensors('autoencoder', autoencoder) },
    { ...fresh('unet', () => initUnet(unet, rng.fork('unet'))), tensors: partTensors('unet', unet) },
  ];
}

/** A part that is made when its first weight is asked for; each weight is freed once it has been read. */
function fresh(kind: string, init: () => ParamTree): Omit<StreamedWeights, 'tensors'> {
  let params: ParamTree | undefined;
  let byPath = new Map<string, Tensor>();
  return {
    file: `${kind}.safetensors`,
    async read({ path }) {
      if (!params) {
        params = init();
        byPath = new Map(flattenParams(params).map(({ path: key, tensor }) => [key, tensor]));
      }
      const tensor = byPath.get(path)!;
      const values = Float32Array.from(await tensor.data()); // may be the tensor's own memory
      tensor.dispose();
      return values;
    },
    close() {
      if (params) disposeParams(params);
      params = undefined;
      byPath.clear();
    },
  };
}
