import { existsSync } from 'node:fs';
import { loadPipeline, type ModelSource, type Pipeline } from '@sgdiff/pipeline';
import { resolveModel } from '@sgdiff/pipeline/node';
import { fileURLToPath } from 'node:url';
import { userPath } from './files';

/** Short names of models that come as packages. */
const SHIPPED: Readonly<Record<string, string>> = { 'picture-book': '@sgdiff/model-picture-book' };

export const DEFAULT_MODEL = 'picture-book';

/** A model by short name, folder, URL or package name. */
export function modelSource(model: string): ModelSource {
  const here = fileURLToPath(new URL('.', import.meta.url));
  if (model in SHIPPED) return resolveModel(SHIPPED[model], here);
  if (/^https?:\/\//.test(model)) return resolveModel(model);
  const path = userPath(model);
  return existsSync(path) ? resolveModel(path) : resolveModel(model, here);
}

export function loadModel(model: string): Promise<Pipeline> {
  return loadPipeline(modelSource(model));
}
