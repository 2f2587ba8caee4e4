import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RequestRecord } from '@sgdiff/pipeline';
import { createVocabulary, parseSceneText } from '@sgdiff/sg-schema';
import { setupBackend } from '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { CliError } from '../errors';
import { encodePicture } from '../png';
import { runCommand, runJson } from '../testing/run-command';
import { temporaryFolder } from '../testing/temporary-folder';
import { writeTinyModel } from '../testing/tiny-model';
import { pictureNames, readGraph, readGraphs, requireNotOverwritten, writePicture } from './generate';

const folder = temporaryFolder();
const vocabulary = createVocabulary(['sheep', 'grass'], ['standing on']);
const words = 'sheep standing on grass';
const graph = parseSceneText(words, { vocabulary });
const record: RequestRecord = {
  format: 1,
  graph,
  model: { name: 'm', sha256: '0'.repeat(64) },
  seed: 1,
  sampler: 'ddim',
  steps: 2,
  spacing: 'trailing',
  sigmas: 'schedule',
  guidanceScale: 1,
  eta: 0,
  backend: 'cpu',
  versions: {},
};
const pixel = { width: 1, height: 1, data: Uint8Array.of(1, 2, 3) };

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

describe('readGraph', () => {
  it('reads one graph, and refuses several', () => {
    const one = (input: string): ReturnType<typeof readGraph> => readGraph(input, join(folder, input), vocabulary, 8);
    writeFileSync(join(folder, 'list of one.json'), JSON.stringify([graph]));
    writeFileSync(join(folder, 'list of two.json'), JSON.stringify([graph, graph]));
    expect(one(words)).toEqual(graph);
    expect(one('list of one.json')).toEqual(graph);
    expect(() => one('list of two.json')).toThrow(
      new CliError(`${join(folder, 'list of two.json')}: expected one graph, received a list of 2. Leave the one that the picture shows.`),
    );
  });
});

describe('names of pictures', () => {
  it('follow the graph file, numbered where there are several', () => {
    expect(pictureNames('a/my-graph.json', 1)).toEqual(['my-graph']);
    expect(pictureNames('a/my-graph.json', 3)).toEqual(['my-graph-0', 'my-graph-1', 'my-graph-2']);
    expect(pictureNames(words, 1)).toEqual(['picture']);
  });
});

describe('requireNotOverwritten', () => {
  it('keeps a file that is something else from the record', () => {
    const picture = join(folder, 'g.png');
    const json = join(folder, 'g.json');
    expect(() => requireNotOverwritten([picture])).not.toThrow();
    for (const other of [JSON.stringify(graph), 'no json']) {
      writeFileSync(json, other);
      expect(() => requireNotOverwritten([join(folder, 'h.png'), picture])).toThrow(
        new CliError(`The record of the picture would overwrite ${json}, which is no such record. Choose another place with --out.`),
      );
    }
    const { spacing: _, sigmas: __, ...ofAnOlderVersion } = record;
    for (const value of [record, ofAnOlderVersion]) {
      writeFileSync(json, JSON.stringify(value));
      expect(() => requireNotOverwritten([picture])).not.toThrow();
    }
  });

  it.each<[name: string, content: Uint8Array | string]>([
    ['a picture that sgdiff did not draw', encodePicture(pixel)],
    ['a file that is no picture', 'text'],
  ])('keeps %s from a picture and from its maps', (name, content) => {
    const path = join(folder, `${name}-maps.png`);
    writeFileSync(path, content);
    const refusal = new CliError(`The picture would overwrite ${path}, which is no picture made by sgdiff. Choose another place with --out.`);
    const another = join(folder, `${name}.png`);
    expect(() => requireNotOverwritten([join(folder, 'h.png'), path])).toThrow(refusal);
    expect(() => requireNotOverwritten([another], { maps: true })).toThrow(refusal);
    expect(() => requireNotOverwritten([another])).not.toThrow();
  });

  it('lets a picture of sgdiff be overwritten, unless the new one is made of it', () => {
    mkdirSync(join(folder, 'below'));
    const drawn = join(folder, 'drawn.png');
    const link = join(folder, 'link.png');
    writeFileSync(drawn, encodePicture(pixel, record));
    symlinkSync(drawn, link);
    for (const out of [drawn, link]) {
      expect(() => requireNotOverwritten([out])).not.toThrow();
      for (const own of [drawn, link, `${folder}/below/../drawn.png`]) {
        expect(() => requireNotOverwritten([out], { own })).toThrow(
          new CliError(
            `The picture would overwrite ${out}: expected another file than ${own}, which is needed to draw the new picture again, ` +
              'received the same one. Choose another place with --out.',
          ),
        );
      }
    }
    writeFileSync(join(folder, 'own.png'), encodePicture(pixel));
    expect(() => requireNotOverwritten([drawn], { own: join(folder, 'own.png') })).not.toThrow();
  });
});

describe('a link to nothing', () => {
  it('is not replaced', () => {
    const link = join(folder, 'dangling.png');
    symlinkSync(join(folder, 'nowhere.png'), link);
    expect(() => requireNotOverwritten([link])).toThrow(`The picture would overwrite ${link}, which is a link to nothing. Choose another place with --out.`);
  });
});

describe('maps of a picture that was drawn over', () => {
  const drawn = { width: 1, height: 1, pixels: pixel.data, withoutToken: [] };
  const sheet = join(folder, 'over-maps.png');
  const draw = (seed: number): string => writePicture(join(folder, 'over.png'), { ...drawn, record: { ...record, seed } });

  it('go, and stay with the same picture', () => {
    writeFileSync(sheet, encodePicture(pixel, { picture: record, tiles: [] }));
    draw(1);
    expect(existsSync(sheet)).toBe(true);
    draw(2);
    expect(existsSync(sheet)).toBe(false);
  });

  it('stay where the picture that is replaced, if any, is not theirs', () => {
    const others = encodePicture(pixel, { picture: { ...record, seed: 77 }, tiles: [] });
    writeFileSync(sheet, others);
    draw(4);
    draw(5);
    rmSync(join(folder, 'over.png'));
    draw(6);
    expect(readFileSync(sheet)).toEqual(Buffer.from(others));
  });

  it.each<[name: string, content: Uint8Array]>([
    ['a picture of the user’s own', encodePicture(pixel)],
    ['a picture drawn from a graph of that name', encodePicture(pixel, record)],
    ['a file that is no picture', Buffer.from('text')],
  ])('are told from %s, which stays', (_name, content) => {
    writeFileSync(sheet, content);
    draw(3);
    expect(readFileSync(sheet)).toEqual(Buffer.from(content));
  });
});

describe('files that are there', () => {
  it('are overwritten by generate and edit only if sgdiff made them, also the sheet of maps', async () => {
    await setupBackend('cpu');
    await writeTinyModel(join(folder, 'small'));
    const common = ['--model', 'small', '--backend', 'cpu', '--out'];
    const draw = ['generate', words, '--steps', '1'];
    mkdirSync(join(folder, 'taken'));
    for (const name of ['picture.png', 'sheep-maps.png', 'sheep-replay.png']) writeFileSync(join(folder, 'taken', name), encodePicture(pixel));
    writeFileSync(join(folder, 'sheep.json'), JSON.stringify(graph));
    const refused = async (name: string, ...args: string[]): Promise<void> => {
      const { code, stderr } = await runCommand(folder, args);
      const path = join(folder, 'taken', name);
      expect(stderr).toContain(`sgdiff: The picture would overwrite ${path}, which is no picture made by sgdiff. Choose another place with --out.\n`);
      expect(code).toBe(1);
      expect(readFileSync(path)).toEqual(Buffer.from(encodePicture(pixel)));
    };
    await runJson(folder, ['generate', 'sheep.json', '--steps', '1', ...common, 'free', '--maps']);
    await refused('picture.png', ...draw, ...common, 'taken');
    await refused('sheep-maps.png', 'generate', 'sheep.json', '--steps', '1', '--maps', ...common, 'taken');
    await refused('sheep-replay.png', 'generate', 'free/sheep.png', '--replay', ...common, 'taken');
    await refused('picture.png', 'edit', 'free/sheep.png', '--change', 'sheep -> zebra', ...common, 'taken/picture.png');

    expect(existsSync(join(folder, 'free/sheep-maps.png'))).toBe(true);
    await runJson(folder, ['edit', 'free/sheep.png', '--change', 'sheep -> zebra', ...common, 'free/sheep.png']);
    expect(JSON.parse(readFileSync(join(folder, 'free/sheep.json'), 'utf8'))).toMatchObject({ graph: { objects: ['zebra', 'grass'] } });
    expect(existsSync(join(folder, 'free/sheep-maps.png'))).toBe(false);
    await runJson(folder, ['generate', 'sheep.json', '--steps', '1', ...common, 'free']);
    expect(JSON.parse(readFileSync(join(folder, 'free/sheep.json'), 'utf8'))).toMatchObject({ graph: { objects: ['sheep', 'grass'] } });
  }, 300_000);
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
