import { loadPipeline, type ModelSource, type Pipeline } from '@sgdiff/pipeline';
import { setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll } from 'vitest';
import { startBackend, type BackendChoice } from '../backend';
import { modelSource } from '../model';

/** The model that ships, on one thread of wasm, for the tests of a file: loaded before them and disposed after them. */
export function useShippedModel(): { readonly source: ModelSource; readonly backend: BackendChoice; readonly pipeline: Pipeline } {
  const source = modelSource('picture-book');
  const shipped = { source } as { source: ModelSource; backend: BackendChoice; pipeline: Pipeline };
  beforeAll(async () => {
    await setupBackend('wasm');
    shipped.backend = await startBackend({ backend: 'wasm', threads: 1 });
    shipped.pipeline = await loadPipeline(source);
  }, 120_000);
  afterAll(() => shipped.pipeline.dispose());
  return shipped;
}
