import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initClipImageEncoder, type ClipVisionConfig } from '@sgdiff/masked-contrastive-pretrain';
import { createRng, disposeParams, paramsToSafetensors } from '@sgdiff/nn';
import type { PartManifest } from '@sgdiff/pipeline';
import { sha256 } from '../files';

/** Sizes of a CLIP that sees pictures in a blink: 32 px, 2 x 2 patches. */
export const tinyClipConfig: ClipVisionConfig = {
  imageSize: 32,
  patchSize: 16,
  width: 12,
  layers: 2,
  heads: 2,
  mlpWidth: 16,
  outputWidth: 8,
  activation: 'quick-gelu',
};

/** Writes the folder of a CLIP of random weights, as an import would. Needs a backend. */
export async function writeTinyClip(folder: string, seed = 'tiny-clip'): Promise<void> {
  const params = initClipImageEncoder(tinyClipConfig, createRng(seed));
  const bytes = await paramsToSafetensors(params, { dtype: 'F16' });
  disposeParams(params);
  const manifest: PartManifest = {
    format: 1,
    name: 'tiny-clip',
    licence: 'Apache-2.0',
    part: { kind: 'image-encoder', config: tinyClipConfig },
    files: { 'image-encoder.safetensors': { sha256: sha256(bytes), bytes: bytes.length } },
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'image-encoder.safetensors'), bytes);
  writeFileSync(join(folder, 'model.json'), JSON.stringify(manifest));
}
