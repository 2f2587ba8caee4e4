import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initLpips, type LpipsConfig } from '@sgdiff/latent-autoencoder/train';
import { createRng, disposeParams, paramsToSafetensors } from '@sgdiff/nn';
import type { PartManifest } from '@sgdiff/pipeline';
import { sha256 } from '../files';

const config: LpipsConfig = { widths: [4, 4, 4, 4, 4] };

/** Writes the folder of a narrow perceptual distance of random weights, as an import would. Needs a backend. */
export async function writeTinyLpips(folder: string, seed = 'tiny-lpips'): Promise<void> {
  const params = initLpips(config, createRng(seed));
  const bytes = await paramsToSafetensors(params, { dtype: 'F16' });
  disposeParams(params);
  const manifest: PartManifest = {
    format: 1,
    name: 'tiny-lpips',
    licence: 'Apache-2.0',
    part: { kind: 'perceptual', config },
    files: { 'perceptual.safetensors': { sha256: sha256(bytes), bytes: bytes.length } },
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'perceptual.safetensors'), bytes);
  writeFileSync(join(folder, 'model.json'), JSON.stringify(manifest));
}
