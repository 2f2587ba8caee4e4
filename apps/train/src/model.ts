import { existsSync } from 'node:fs';
import { loadPipeline, type ModelSource, type Pipeline } from '@sgdiff/pipeline';
import { resolveModel } from '@sgdiff/pipeline/node';
import { fileURLToPath } from 'node:url';
import { userPath } from './files';
import type { Progress, Terminal } from './terminal';

/** Short names of models that come as packages. */
const SHIPPED: Readonly<Record<string, string>> = { 'picture-book': '@sgdiff/model-picture-book' };

export const DEFAULT_MODEL = 'picture-book';

/** Weights from so many bytes on are worth a progress bar. */
const SLOW_BYTES = 50e6;

/** A model by short name, folder, URL or package name. */
export function modelSource(model: string): ModelSource {
  const here = fileURLToPath(new URL('.', import.meta.url));
  if (model in SHIPPED) return resolveModel(SHIPPED[model], here);
  if (/^https?:\/\//.test(model)) return resolveModel(model);
  const path = userPath(model);
  return existsSync(path) ? resolveModel(path) : resolveModel(model, here);
}

/** Loads a model, with a progress bar where that takes a while. */
export async function loadModel(model: string, terminal: Terminal): Promise<Pipeline> {
  let progress: Progress | undefined;
  const megabytes = (bytes: number): number => Math.round(bytes / 1e6);
  try {
    return await loadPipeline(modelSource(model), {
      onProgress({ loadedBytes, totalBytes }) {
        if (totalBytes < SLOW_BYTES) return;
        progress ??= terminal.progress(`loading ${model} (MB)`, megabytes(totalBytes));
        progress.update(megabytes(loadedBytes));
      },
    });
  } finally {
    progress?.stop();
  }
}
