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

  it('takes one word for a file name', () => {
    expect(() => read('sheep')).toThrow(new CliError(`The graph file ${join(folder, 'sheep')} does not exist. Check the path.`));
  });
});

describe('names of pictures', () => {
  it('follow the graph file, numbered where there are several', () => {
    expect(pictureNames('a/my-graph.json', 1)).toEqual(['my-graph']);
    expect(pictureNames('a/my-graph.json', 3)).toEqual(['my-graph-0', 'my-graph-1', 'my-graph-2']);
    expect(pictureNames(words, 1)).toEqual(['picture']);
  });

  it('may not lead to the graph file itself', () => {
    const file = join(folder, 'g.json');
    expect(() => requireNotOverwritten(file, folder, ['g-0', 'g'])).toThrow(
      new CliError(`The record of the picture would overwrite ${file}. Choose another folder with --out.`),
    );
    expect(() => requireNotOverwritten(file, join(folder, 'out'), ['g'])).not.toThrow();
    expect(() => requireNotOverwritten(file, folder, ['g-0', 'g-1'])).not.toThrow();
  });
});
