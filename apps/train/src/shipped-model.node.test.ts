import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import { pictureBookVocabulary } from '@sgdiff/datasets';
import type { Pipeline } from '@sgdiff/pipeline';
import { loadPipeline } from '@sgdiff/pipeline';
import { resolveModel } from '@sgdiff/pipeline/node';
import { parseSceneGraphs } from '@sgdiff/sg-schema';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pictureBook } from './configs/picture-book';
import { sha256 } from './files';

// The model that ships, as it lies in its package.
const folder = dirname(createRequire(import.meta.url).resolve('@sgdiff/model-picture-book/model.json'));
const figure6 = JSON.parse(readFileSync(new URL('../../../examples/graphs/figure-6.json', import.meta.url), 'utf8')) as unknown;

describe('@sgdiff/model-picture-book', () => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    await setupBackend('wasm');
    pipeline = await loadPipeline(resolveModel(folder));
  });
  afterAll(() => pipeline.dispose());

  it('holds every file it names, whole, and at most 40 MB of them', () => {
    const { files } = pipeline.manifest;
    const weights = readdirSync(folder).filter((name) => /\.safetensors$|^vocab\.json$/.test(name));
    expect(Object.keys(files).sort()).toEqual(weights.sort());
    for (const [name, { sha256: hash, bytes }] of Object.entries(files)) {
      const content = readFileSync(join(folder, name));
      expect({ name, hash: sha256(content), bytes: content.length }).toEqual({ name, hash, bytes });
    }
    expect(Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(40e6);
  });

  it('is what the preset of the same name trains', () => {
    const { parts, prediction, schedule } = pipeline.manifest;
    expect({ encoder: parts.encoder, autoencoder: parts.autoencoder, unet: parts.unet, prediction, schedule }).toEqual({
      encoder: pictureBook.pretrain.model.encoder,
      autoencoder: pictureBook.autoencoder.model,
      unet: pictureBook.diffusion.model,
      prediction: pictureBook.diffusion.prediction,
      schedule: pictureBook.diffusion.schedule,
    });
  });

  it('knows every word of picture-book and of the example graphs', () => {
    const { objects, predicates } = pictureBookVocabulary();
    expect(pipeline.vocabulary.objects).toEqual(objects);
    expect(pipeline.vocabulary.predicates).toEqual(predicates);
    expect(parseSceneGraphs(figure6, { vocabulary: pipeline.vocabulary, maxTriples: pipeline.maxTriples })).toHaveLength(7);
  });

  it('draws sky above grass: blue at the top, green at the bottom', async () => {
    await expectNoLeak(async () => {
      const graph = { objects: ['sky', 'grass'], relationships: [[0, 'above', 1]] } as const;
      const { pixels, width, height, record } = await pipeline.generate(graph, { seed: 1, steps: 8 });
      expect([width, height]).toEqual([64, 64]);
      expect(record).toMatchObject({ seed: 1, steps: 8, model: { name: 'picture-book' } });
      const meanOf = (firstRow: number, rows: number): number[] =>
        [0, 1, 2].map((channel) => {
          let sum = 0;
          for (let i = firstRow * width; i < (firstRow + rows) * width; i++) sum += pixels[3 * i + channel];
          return sum / (rows * width);
        });
      const [, topGreen, topBlue] = meanOf(0, 8);
      const [bottomRed, bottomGreen, bottomBlue] = meanOf(height - 8, 8);
      expect(topBlue).toBeGreaterThan(topGreen);
      expect(bottomGreen).toBeGreaterThan(bottomBlue + 20);
      expect(bottomGreen).toBeGreaterThan(bottomRed + 20);
    });
  });
});
