import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SAMPLERS } from '@sgdiff/pipeline';
import { setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from './files';
import { encodePicture, readRecord } from './png';
import { runCommand, startCommand } from './testing/run-command';
import { temporaryFolder } from './testing/temporary-folder';
import { writeTinyModel } from './testing/tiny-model';

// Each command is a process of its own; on a busy machine it may have to wait long for its turn.
const TIMEOUT = 300_000;

const folder = temporaryFolder();
const at = (path: string): string => join(folder, path);
const GOOD = '{"objects": ["sheep", "grass"], "relationships": [[0, "standing on", 1]]}';
const OUT = ['--out', 'new/out'];
const OWN = ['edit', 'own.png', '--model', 'model', '--backend', 'cpu', '--change', 'sheep -> zebra', '--out', 'new/out.png'];
const RECORD = {
  format: 1,
  graph: JSON.parse(GOOD) as object,
  model: { name: 'tiny', sha256: '0'.repeat(64) },
  ...{ seed: 1, sampler: 'ddim', steps: 1, guidanceScale: 1, eta: 0, backend: 'cpu', versions: {} },
};

beforeAll(async () => {
  await setupBackend('cpu');
  await writeTinyModel(at('model'));
  writeFileSync(at('good.json'), GOOD);
  mkdirSync(at('folder.json'));
  writeFileSync(at('two.json'), `[${GOOD}, ${GOOD}]`);
  writeFileSync(at('drawn.json'), JSON.stringify(RECORD));
  writeFileSync(at('edited.json'), JSON.stringify({ ...RECORD, image: '0'.repeat(64) }));
  writeFileSync(at('own.png'), encodePicture({ width: 8, height: 8, data: new Uint8Array(192) }));
}, TIMEOUT);

/** Standard error of a command that must fail, without the line that names the backend. Nothing must have been written. */
async function failure(args: readonly string[]): Promise<string> {
  const before = listing();
  const { code, stdout, stderr } = await runCommand(folder, [...args, '--json']);
  expect(code).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).not.toMatch(/^ {4}at /m);
  expect(listing()).toEqual(before);
  expect(existsSync(at('new'))).toBe(false);
  return stderr.replace(/^backend: .*\n/, '');
}

function listing(): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
}

function generate(graph: string, ...options: string[]): readonly string[] {
  return ['generate', graph, '--model', 'model', '--backend', 'cpu', ...OUT, ...options];
}

describe('a graph that cannot be drawn', () => {
  it.each<[name: string, content: string, message: string]>([
    [
      'an unknown word',
      '[{"objects": ["shepe", "grass"], "relationships": [[0, "standin on", 1]]}]',
      '2 problems.\n' +
        '- [0].objects[0]: expected one of the 5 known objects, received "shepe"; perhaps "sheep" is meant.\n' +
        '- [0].relationships[0][1]: expected one of the 3 known predicates, received "standin on"; perhaps "standing on" is meant.',
    ],
    [
      'an index out of range',
      '{"objects": ["sheep", "grass"], "relationships": [[0, "standing on", 2]]}',
      'relationships[0][2]: expected the position of an object, 0 to 1, received 2; correct the position or add the object that it should point to.',
    ],
    [
      'a self-relation',
      '{"objects": ["sheep"], "relationships": [[0, "behind", 0]]}',
      'relationships[0]: expected a relation between two objects, received one of "sheep" with itself; correct a position, or add a second "sheep" to objects.',
    ],
    ['no objects', '{"objects": [], "relationships": []}', 'objects: expected at least one object, received an empty list; name something to draw.'],
    [
      'too many triples',
      JSON.stringify({ objects: ['sky', 'grass', 'sheep', 'tree'], relationships: [[0, 'above', 1], [2, 'standing on', 1], [3, 'behind', 2]] }),
      'relationships: expected at most 6 triples, received 7 (3 relations and 4 objects, each of which takes one __in_image__ triple); ' +
        'remove relations or objects: there is no room for the __in_image__ triple of objects[3] "tree".',
    ],
    ['invalid JSON', '{"objects": ["sheep"', 'graph: expected "," or "]" at line 1, column 21, received the end of the text; correct the JSON text there.'],
    ['an empty list', '[]', 'expected a graph or a list of graphs, received an empty list. Put a graph into it.'],
  ])(
    'is refused for %s',
    async (name, content, message) => {
      const file = `${name.replaceAll(' ', '-')}.json`;
      writeFileSync(at(file), content);
      expect(await failure(generate(file))).toBe(`sgdiff: ${at(file)}: ${message}\n`);
    },
    TIMEOUT,
  );

  it(
    'is refused when given in words',
    async () => {
      expect(await failure(generate('sheep standin on grass'))).toBe(
        'sgdiff: The graph "sheep standin on grass": clauses[0]: expected one of the 3 known predicates, received "standin on"; perhaps "standing on" is meant.\n',
      );
    },
    TIMEOUT,
  );

  it(
    'is refused when it is a folder or not there',
    async () => {
      expect(await failure(generate('folder.json'))).toBe(`sgdiff: The graph file ${at('folder.json')} is a folder, expected a file.\n`);
      expect(await failure(generate('none.json'))).toBe(`sgdiff: The graph file ${at('none.json')} does not exist. Check the path.\n`);
    },
    TIMEOUT,
  );
});

describe('a model that cannot be used', () => {
  const copy = (name: string): string => {
    cpSync(at('model'), at(name), { recursive: true });
    return at(name);
  };
  const draw = (model: string): Promise<string> => failure(['generate', 'good.json', '--model', model, '--backend', 'cpu', ...OUT]);

  it(
    'is refused when a file is missing',
    async () => {
      const unet = join(copy('missing'), 'unet.safetensors');
      rmSync(unet);
      expect(await draw('missing')).toBe(
        `sgdiff: Model file ${unet} could not be read: it is not there. The model folder is not complete: get it again.\n`,
      );
    },
    TIMEOUT,
  );

  it(
    'is refused when a file was altered or cut',
    async () => {
      const encoder = join(copy('altered'), 'encoder.safetensors');
      const good = readFileSync(encoder);
      truncateSync(encoder, good.length - 2);
      expect(await draw('altered')).toBe(
        `sgdiff: Model file ${encoder} was altered or cut: expected SHA-256 ${sha256(good)} (${good.length} bytes), ` +
          `received ${sha256(readFileSync(encoder))} (${good.length - 2} bytes). Get the model folder again.\n`,
      );
    },
    TIMEOUT,
  );

  it(
    'is refused when there is no such folder, or it holds no model',
    async () => {
      expect(await draw('none')).toBe('sgdiff: Model "none": expected a folder, a URL or an installed npm package, found none. Check the name.\n');
      expect(await draw('folder.json')).toBe(
        `sgdiff: Model file ${at('folder.json/model.json')} could not be read: it is not there. ` +
          'Check that this is the address of a model folder, which has a model.json.\n',
      );
    },
    TIMEOUT,
  );

  it(
    'is refused for a measurement it carries nothing for',
    async () => {
      expect(await failure(['evaluate', '--model', 'model', '--backend', 'cpu', ...OUT])).toBe(
        'sgdiff: The model "tiny" carries nothing to evaluate it with on picture-book. Only models of "sgdiff export" carry that; an imported one draws, but cannot be measured here.\n',
      );
    },
    TIMEOUT,
  );
});

describe('settings that cannot be met', () => {
  it.each<[name: string, options: readonly string[], message: string]>([
    ['an unknown sampler', ['--sampler', 'oiler'], `Unknown sampler "oiler", expected one of: ${SAMPLERS.join(', ')}.`],
    [
      'a list of sigmas beside a spacing',
      ['--sigmas', 'karras', '--spacing', 'leading'],
      'spacing: expected "trailing" with sigmas "karras", which stand in its place, received "leading". Leave one of them out.',
    ],
    ['steps 0', ['--steps', '0'], 'steps: expected a whole number from 1, received 0. Leave it out for the model’s own.'],
    [
      'text for a number',
      ['--steps', 'many'],
      "option '--steps <steps>' argument 'many' is invalid. Expected a number.\n(--help shows what is possible)",
    ],
    [
      'an unknown backend',
      ['--backend', 'cuda'],
      'Unknown backend "cuda", expected one of: tensorflow, webgpu, wasm, cpu.\n"sgdiff doctor" shows what works here.',
    ],
    [
      'an adapter for a backend that has none',
      ['--adapter', 'low-power'],
      'The adapter "low-power" is for the backend "webgpu": ask for both, or leave the adapter out.\n"sgdiff doctor" shows what works here.',
    ],
    [
      'threads for a backend that has one',
      ['--threads', '2'],
      'The backend "cpu" has one thread, 2 were asked for. Leave the number out.\n"sgdiff doctor" shows what works here.',
    ],
  ])(
    'are refused: %s',
    async (_name, options, message) => {
      expect(await failure(generate('good.json', ...options))).toBe(`sgdiff: ${message}\n`);
    },
    TIMEOUT,
  );

  it(
    'are refused: an output folder that cannot be written to',
    async () => {
      expect(await failure([...generate('good.json'), '--out', 'good.json/out'])).toBe(
        `sgdiff: Cannot write to the folder ${at('good.json/out')}: ${at('good.json')} is a file. Choose another folder.\n`,
      );
    },
    TIMEOUT,
  );
});

describe('files that are there', () => {
  it(
    'are not overwritten: the record of a picture has the name of its graph file',
    async () => {
      expect(await failure([...generate('good.json'), '--out', '.'])).toBe(
        `sgdiff: The record of the picture would overwrite ${at('good.json')}, which is no such record. Choose another place with --out.\n`,
      );
      expect(readFileSync(at('good.json'), 'utf8')).toBe(GOOD);
    },
    TIMEOUT,
  );

  it(
    'are whole after an interruption: pictures that were finished are kept',
    async () => {
      writeFileSync(at('many.json'), JSON.stringify(new Array(500).fill(JSON.parse(GOOD))));
      const out = temporaryFolder();
      const drawing = startCommand(folder, [...generate('many.json', '--json'), '--out', out]);
      while (!existsSync(join(out, 'many-0.json'))) await new Promise((resolve) => setTimeout(resolve, 20));
      drawing.interrupt();
      const { code, stdout, stderr } = await drawing.done;
      expect(code).toBe(130);
      expect(stdout).toBe('');
      expect(stderr).toMatch(/\nsgdiff: Stopped\. Pictures that were finished are kept\.\n$/);
      const files = readdirSync(out);
      expect(files.filter((file) => !/^many-\d+\.(png|json)$/.test(file))).toEqual([]);
      for (const file of files.filter((name) => name.endsWith('.png'))) {
        expect(readRecord(readFileSync(join(out, file)))).toMatchObject({ seed: 0, graph: JSON.parse(GOOD) as object });
      }
    },
    TIMEOUT,
  );
});

describe('other commands', () => {
  it.each<[name: string, args: readonly string[], message: () => string]>([
    [
      'edit a picture that holds no record',
      ['edit', 'plain.json', '--change', 'sheep -> zebra'],
      () => `${at('plain.json')}: Request record: expected the record of one picture, received an object without "format". Take the record that @sgdiff/pipeline gave with the picture.`,
    ],
    [
      'edit a file that is no picture',
      ['edit', 'text.png', '--change', 'sheep -> zebra'],
      () => `The picture ${at('text.png')} could not be read: wrong PNG signature. Expected a PNG made by sgdiff, or the record beside it.`,
    ],
    [
      'edit a picture of one’s own in full',
      [...OWN, '--graph', 'sheep', '--redraw', 'all'],
      () =>
        '--redraw all: expected for a picture made by sgdiff, received with --graph for one of your own, of which nothing would be left. ' +
        'Leave it out, or draw the graph with "sgdiff generate".',
    ],
    [
      'edit a picture of one’s own with another',
      [...OWN, '--graph', 'sheep', '--image', 'own.png'],
      () => "option '--image <png>' cannot be used with option '--graph <text>'\n(--help shows what is possible)",
    ],
    [
      'edit a picture of one’s own that shows one of several graphs',
      [...OWN, '--graph', 'two.json'],
      () => `${at('two.json')}: expected one graph, received a list of 2. Leave the one that the picture shows.`,
    ],
    [
      'edit a picture that was drawn with one of one’s own',
      ['edit', 'drawn.json', '--change', 'sheep -> zebra', '--image', 'own.png'],
      () => `--image own.png: expected for a record that needs a picture of your own, received for ${at('drawn.json')}, which needs none. Leave it out.`,
    ],
    [
      'edit a picture that was made of one’s own without that',
      ['edit', 'edited.json', '--change', 'sheep -> zebra'],
      () => `${at('edited.json')} was made of a picture of your own: expected that, too, received none. Give it with --image.`,
    ],
    [
      'edit all of a picture with one of one’s own',
      ['edit', 'edited.json', '--change', 'sheep -> zebra', '--image', 'own.png', '--redraw', 'all'],
      () => '--image: expected with --redraw touched, received with all, which leaves nothing of your own picture. Leave one of them out.',
    ],
    [
      'edit a picture that was drawn with other settings',
      ['edit', 'drawn.json', '--change', 'sheep -> zebra', '--seed', '0', '--guidance', '2', '--sigmas', 'karras'],
      () =>
        '--seed, --guidance, --sigmas: expected with --graph, received for a picture whose record holds its settings. ' +
        'Leave them out, or draw the graph with "sgdiff generate".',
    ],
    [
      'edit all objects away',
      [...OWN, '--graph', 'sheep', '--change', '- zebra'],
      () => '--change "sheep -> zebra" "- zebra": expected an object to be left, received a graph without any. Keep one, or add one, such as --change "+ sheep".',
    ],
    [
      'edit a picture of one’s own with an unknown sampler',
      [...OWN, '--graph', 'sheep', '--sampler', 'oiler'],
      () => `Unknown sampler "oiler", expected one of: ${SAMPLERS.join(', ')}.`,
    ],
    [
      'draw a graph with a picture of one’s own',
      ['generate', 'good.json', '--image', 'own.png'],
      () => '--image is for a picture drawn again: give --replay as well, or leave it out.',
    ],
    [
      'draw a picture again with one of one’s own that it needs not',
      ['generate', 'drawn.json', '--replay', '--image', 'own.png', '--model', 'model', '--backend', 'cpu'],
      () => `--image own.png: expected for a record that needs a picture of your own, received for ${at('drawn.json')}, which needs none. Leave it out.`,
    ],
    ['train an unknown stage', ['train', 'everything'], () => 'Unknown stage "everything", expected one of: autoencoder, pretrain, detector, diffusion.'],
    ['prepare an unknown data set', ['prepare', 'coco'], () => 'Unknown data set "coco", expected: picture-book.'],
    [
      'train without data',
      ['train', 'autoencoder', '--run', 'run', '--backend', 'cpu'],
      () => `${at('run/data')} holds no prepared data (no manifest.json). Run "sgdiff prepare picture-book" first.`,
    ],
    [
      'train on webgpu with workers',
      ['train', 'autoencoder', '--run', 'run', '--backend', 'webgpu', '--workers', '2'],
      () => '--workers 2: with webgpu all of them would share one device. Leave it out.',
    ],
    [
      'export a run that was never trained',
      ['export', '--run', 'run', ...OUT],
      () => `${at('run')} holds no trained "autoencoder" (no ${at('run/autoencoder/stage.json')}). Run "sgdiff train autoencoder" first.`,
    ],
    [
      'train with a config that does not fit',
      ['train', 'diffusion', '--config', 'good.json'],
      () => `${at('good.json')} does not fit the config:\n  (top): Unrecognized keys: "objects", "relationships"\nEntries left out keep the preset's value.`,
    ],
    [
      'draw a picture again with other settings',
      ['generate', 'plain.png', '--replay', '--steps', '5'],
      () => "option '--replay' cannot be used with option '--steps <steps>'\n(--help shows what is possible)",
    ],
    [
      'measure pre-training with settings of drawing',
      ['evaluate', '--pretrain', 'picture-book', '--guidance', '2'],
      () => "option '--pretrain <model>' cannot be used with option '--guidance <scale>'\n(--help shows what is possible)",
    ],
    [
      'measure compliance among candidates',
      ['evaluate', '--candidates', '10', '--backend', 'cpu'],
      () => '--candidates is for retrieval: give --pretrain <model> as well, or leave it out.',
    ],
    [
      'measure retrieval on part of the candidates',
      ['evaluate', '--pretrain', 'picture-book', '--count', '50', '--backend', 'cpu'],
      () => '--count 50: expected a multiple of --candidates, 100.',
    ],
    [
      'give each worker several threads',
      ['train', 'diffusion', '--workers', '2', '--threads', '2'],
      () => '--threads 2: each of several --workers computes with one thread. Leave it out.',
    ],
    ['split a batch over half a worker', ['train', 'diffusion', '--workers', '1.5'], () => "option '--workers <count>' argument '1.5' is invalid. Expected a whole number from 1.\n(--help shows what is possible)"],
  ])(
    'refuse to %s',
    async (_name, args, message) => {
      writeFileSync(at('plain.json'), GOOD);
      writeFileSync(at('text.png'), 'no picture');
      expect(await failure(args)).toBe(`sgdiff: ${message()}\n`);
    },
    TIMEOUT,
  );
});
