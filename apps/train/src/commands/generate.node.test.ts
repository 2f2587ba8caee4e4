import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createVocabulary, parseSceneText } from '@sgdiff/sg-schema';
import { setupBackend } from '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { CliError } from '../errors';
import { runCommand } from '../testing/run-command';
import { temporaryFolder } from '../testing/temporary-folder';
import { writeTinyModel } from '../testing/tiny-model';
import { pictureNames, readGraphs, requireNotOverwritten } from './generate';

const folder = temporaryFolder();
const vocabulary = createVocabulary(['sheep', 'grass'], ['standing on']);
const words = 'sheep standing on grass';
const graph = parseSceneText(words, { vocabulary });

function read(input: string): ReturnType<typeof readGraphs> {
  return readGraphs(input, join(folder, input), vocabulary, 8);
}

describe('readGraphs', () => {
  it('reads words, a file with one graph, and a file with a list', () => {
    writeFileSync(join(folder, 'one.json'), JSON.stringify(graph));
    writeFileSync(join(folder, 'two graphs.txt'), `\ufeff${JSON.stringify([graph, graph])}`);
    expect(read(words)).toEqual([graph]);
    expect(read('one.json')).toEqual([graph]);
    expect(read('two graphs.txt')).toEqual([graph, graph]);
  });

  it('reads one word, where there is no such file', () => {
    expect(read('sheep')).toEqual([parseSceneText('sheep', { vocabulary })]);
    expect(read('sheep;grass')).toEqual([parseSceneText('sheep; grass', { vocabulary })]);
    expect(() => read('shep')).toThrow(/^"shep" is not a file, and as a graph: .*"shep".*"sheep"/);
    writeFileSync(join(folder, 'grass'), '[]');
    expect(() => read('grass')).toThrow(`${join(folder, 'grass')}: expected a graph or a list of graphs, received an empty list.`);
  });

  it.each(['sheep.txt', './sheep', 'a/sheep', 'one graph.json'])('takes %s for a file name', (name) => {
    expect(() => read(name)).toThrow(new CliError(`The graph file ${join(folder, name)} does not exist. Check the path.`));
  });
});

describe('names of pictures', () => {
  it('follow the graph file, numbered where there are several', () => {
    expect(pictureNames('a/my-graph.json', 1)).toEqual(['my-graph']);
    expect(pictureNames('a/my-graph.json', 3)).toEqual(['my-graph-0', 'my-graph-1', 'my-graph-2']);
    expect(pictureNames(words, 1)).toEqual(['picture']);
  });

  it('may not lead to a record over a file that is something else', () => {
    const picture = join(folder, 'g.png');
    const record = join(folder, 'g.json');
    expect(() => requireNotOverwritten([picture])).not.toThrow();
    for (const other of [JSON.stringify(graph), 'no json']) {
      writeFileSync(record, other);
      expect(() => requireNotOverwritten([join(folder, 'h.png'), picture])).toThrow(
        new CliError(`The record of the picture would overwrite ${record}, which is no such record. Choose another place with --out.`),
      );
    }
    const ofThisCommand = {
      format: 1,
      graph,
      model: { name: 'm', sha256: '0'.repeat(64) },
      seed: 1,
      sampler: 'ddim',
      steps: 2,
      guidanceScale: 1,
      eta: 0,
      backend: 'cpu',
      versions: {},
    };
    writeFileSync(record, JSON.stringify(ofThisCommand));
    expect(() => requireNotOverwritten([picture])).not.toThrow();
  });
});

describe('a graph of more triples than the model has tokens', () => {
  it('is drawn, edited and drawn again, and each time it is said which triples got none', async () => {
    await setupBackend('cpu');
    await writeTinyModel(join(folder, 'model'), { maxTriples: 3, overflow: 'first' });
    const model = ['--model', 'model', '--backend', 'cpu'];
    const said = async (...args: string[]): Promise<string[]> => {
      const { code, stderr } = await runCommand(folder, [...args, ...model]);
      expect(code).toBe(0);
      return stderr.split('\n').filter((line) => line.includes('got no token'));
    };
    const told = (names: string): string[] => [
      `${names.split(', ').length} of the graph's triples got no token, since the model takes only so many, and can be told from the rest of the graph alone: ${names}.`,
    ];
    const first = told('grass __in_image__ __image__');
    expect(await said('generate', 'sheep standing on grass; sheep', '--out', 'drawn')).toEqual([]);
    expect(await said('generate', 'sheep standing on grass; grass behind sheep', '--out', 'drawn')).toEqual(first);
    expect(await said('generate', 'drawn/picture.png', '--replay', '--out', 'drawn')).toEqual(first);
    expect(await said('edit', 'drawn/picture.png', '--change', '+ tree', '--out', 'drawn/edit.png')).toEqual(
      told('grass __in_image__ __image__, tree __in_image__ __image__'),
    );
  }, 120_000);
});
