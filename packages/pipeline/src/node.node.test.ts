import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { folderSource, loadPipeline, resolveModel } from './node';
import { tinyModel, type ModelFiles } from './testing/tiny-model';

const root = mkdtempSync(join(tmpdir(), 'pipeline-'));
const folder = join(root, 'tiny');
const installed = join(root, 'node_modules', '@someone', 'model-tiny');
let files: ModelFiles;

beforeAll(async () => {
  await setupBackend('cpu');
  files = await tinyModel();
  for (const place of [folder, installed]) {
    mkdirSync(place, { recursive: true });
    for (const [file, bytes] of Object.entries(files)) writeFileSync(join(place, file), bytes);
  }
  writeFileSync(join(installed, 'package.json'), '{"name": "@someone/model-tiny", "version": "1.0.0"}');
});
afterAll(() => rmSync(root, { recursive: true }));

describe('folderSource', () => {
  it('reads the bytes of a file', async () => {
    expect(await folderSource(folder).read('vocab.json')).toEqual(files['vocab.json']);
  });

  it('says which file is missing', async () => {
    const path = join(folder, 'detector.safetensors');
    await expect(folderSource(folder).read('detector.safetensors')).rejects.toMatchObject({
      name: 'ModelError',
      code: 'missing_file',
      file: 'detector.safetensors',
      message: `Model file ${path} could not be read: it is not there. The model folder is not complete: get it again.`,
    });
  });

  it('says when a folder lies where a file should', async () => {
    const path = join(root, 'odd', 'model.json');
    mkdirSync(path, { recursive: true });
    await expect(folderSource(join(root, 'odd')).read('model.json')).rejects.toMatchObject({
      code: 'missing_file',
      message: expect.stringMatching(
        /model\.json could not be read: EISDIR: .+ Check that this is the address of a model folder/,
      ),
    });
  });
});

describe('resolveModel', () => {
  it('knows a URL, a folder and a package', () => {
    expect(resolveModel('https://models.example/tiny/').name).toBe('https://models.example/tiny');
    expect(resolveModel(folder).name).toBe(folder);
    expect(resolveModel(`${folder}/`).name).toBe(folder);
    expect(resolveModel('@someone/model-tiny', root).name).toBe(installed);
  });

  it.each([
    [
      'a file in place of a folder',
      () => join(folder, 'model.json'),
      'expected a folder with a model.json, received a file. Name the folder it is in.',
    ],
    [
      'what is none of the three',
      () => 'no-such-model',
      'expected a folder, a URL or an installed npm package, found none. Check the name.',
    ],
    ['an empty name', () => '', 'expected a folder, a URL or an installed npm package, found none. Check the name.'],
  ])('refuses %s', (_, model, message) => {
    const expected = { name: 'ModelError', code: 'missing_file', message: `Model "${model()}": ${message}` };
    expect(() => resolveModel(model(), root)).toThrow(expect.objectContaining(expected));
  });
});

describe('loadPipeline of @sgdiff/pipeline/node', () => {
  it('draws the same with a model folder by its path and with a source', async () => {
    const byPath = await loadPipeline(folder);
    const bySource = await loadPipeline(resolveModel('@someone/model-tiny', root));
    const graph = { objects: ['tree'], relationships: [] };
    expect(await byPath.generate(graph)).toEqual(await bySource.generate(graph));
    byPath.dispose();
    bySource.dispose();
  });

  it('rejects, and does not throw, for a model that is not there', async () => {
    await expect(loadPipeline('no-such-model')).rejects.toMatchObject({ name: 'ModelError' });
  });
});
