import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createVocabulary, parseSceneText } from '@sgdiff/sg-schema';
import { describe, expect, it } from 'vitest';
import { CliError } from '../errors';
import { temporaryFolder } from '../testing/temporary-folder';
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
