import { basename, dirname, join } from 'node:path';
import { version } from '../package.json';
import { SAMPLERS, SIGMA_LISTS, SPACINGS, type ModelSource, type Picture, type Pipeline, type RequestRecord } from '@sgdiff/pipeline';
import { IMPORT_KINDS, PRECISIONS, PRESET_NAMES, type ImportKind, type Precision } from '@sgdiff/published-models';
import { Command, InvalidArgumentError, Option } from 'commander';
import { BACKENDS, describeBackend, startBackend, type AskedBackend, type BackendChoice } from './backend';
import { contract, probeContract } from './commands/contract';
import { demo } from './commands/demo';
import { doctor, probe } from './commands/doctor';
import { applyChanges, CHANGE_FORMS } from './commands/edit';
import { evaluateCompliance, evaluatePretrain } from './commands/evaluate';
import { evaluateEdits } from './commands/evaluate-edits';
import { evaluateMaps } from './commands/evaluate-maps';
import { evaluateSamplers, TABLE_STEPS } from './commands/evaluate-samplers';
import { evaluateWeights } from './commands/evaluate-weights';
import { EVALUATION_SPLITS, type EvaluationSplit } from './commands/evaluation-parts';
import { exportModel } from './commands/export';
import {
  drawGraphs,
  drawSettings,
  interruptible,
  noteWithoutToken,
  pictureNames,
  readGraph,
  readGraphs,
  readRequest,
  reportDrawing,
  requireNotOverwritten,
  writePicture,
  writePictureAndMaps,
  type AskedSettings,
} from './commands/generate';
import { importModel } from './commands/import';
import { info } from './commands/info';
import { readOwnImage } from './commands/own-image';
import { initModel } from './commands/init';
import { preparePictureBook } from './commands/prepare';
import { train } from './commands/train';
import { loadConfig } from './configs/config';
import { EDIT_KINDS, type EditKind } from './data/picture-book-edits';
import { CliError } from './errors';
import { requireWritableFolder, userPath } from './files';
import { DEFAULT_MODEL, loadModel, modelSource } from './model';
import { runFolder, STAGES, type StageName } from './run-folder';
import { createTerminal, type Terminal } from './terminal';

const DEFAULT_RUN = '.runs/picture-book';

type CommonOptions = { json?: boolean; verbose?: boolean };
type BackendOptions = CommonOptions & { backend?: string; threads?: number; adapter?: string };

/** The `sgdiff` command with all its sub-commands. */
export function buildProgram(): Command {
  const program = new Command('sgdiff')
    .description('Scene graph in, picture out: prepare data, train, generate, edit, evaluate.')
    .version(version)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'sgdiff: ')) })
    .showHelpAfterError('(--help shows what is possible)');

  common(program.command('prepare'))
    .description('draw a data set to disk')
    .argument('<dataset>', 'picture-book')
    .option('--run <folder>', 'folder of the run', DEFAULT_RUN)
    .option('--config <file>', 'JSON whose entries replace the preset’s')
    .action(async (dataset: string, options: CommonOptions & { run: string; config?: string }) => {
      if (dataset !== 'picture-book') throw new CliError(`Unknown data set "${dataset}", expected: picture-book.`);
      const terminal = terminalOf(options);
      const config = loadConfig(options.config && userPath(options.config));
      terminal.result(await preparePictureBook(config.data, runFolder(userPath(options.run)).data, terminal));
    });

  backend(common(program.command('train')))
    .description('train one stage: autoencoder, pretrain, detector or diffusion')
    .argument('<stage>', STAGES.join(' | '))
    .option('--run <folder>', 'folder of the run', DEFAULT_RUN)
    .option('--config <file>', 'JSON whose entries replace the preset’s')
    .option('--resume', 'continue from the last checkpoint', false)
    .option('--max-minutes <minutes>', 'save and end after so long', positive)
    .option('--workers <count>', 'split each batch over so many threads (not pretrain, nor autoencoder with a discriminator)', wholeFromOne, 1)
    .option('--checkpoint-minutes <minutes>', 'minutes between checkpoints', positive, 3)
    .action(
      async (
        stage: string,
        options: BackendOptions & { run: string; config?: string; resume: boolean; maxMinutes?: number; checkpointMinutes: number; workers: number },
      ) => {
        if (!(STAGES as readonly string[]).includes(stage)) {
          throw new CliError(`Unknown stage "${stage}", expected one of: ${STAGES.join(', ')}.`);
        }
        const terminal = terminalOf(options);
        const config = loadConfig(options.config && userPath(options.config));
        const { resume, checkpointMinutes, maxMinutes, workers } = options;
        if (workers > 1 && options.threads !== undefined && options.threads !== 1) {
          throw new CliError(`--threads ${options.threads}: each of several --workers computes with one thread. Leave it out.`);
        }
        if (workers > 1 && options.backend === 'webgpu') {
          throw new CliError(`--workers ${workers}: with webgpu all of them would share one device. Leave it out.`);
        }
        const threads = workers > 1 ? 1 : options.threads;
        await train(stage as StageName, config, runFolder(userPath(options.run)), {
          resume,
          checkpointMinutes,
          workers,
          ...(maxMinutes === undefined ? {} : { maxMinutes }),
          terminal,
          backend: await chooseBackend({ ...options, ...(threads === undefined ? {} : { threads }) }, terminal),
        });
      },
    );

  samplingOptions(backend(common(program.command('generate'))))
    .description('draw scene graphs: a JSON file (one graph or a list), or a text like "sheep standing on grass"')
    .argument('<graph>', 'file or text; with --replay a picture')
    .option('--model <model>', 'short name, folder, URL or npm package', DEFAULT_MODEL)
    .option('--out <folder>', 'where the pictures go', 'out')
    .addOption(
      new Option('--replay', 'the argument is a picture made by sgdiff: draw it again from its record')
        .default(false)
        .conflicts([...SETTINGS]),
    )
    .option('--image <png>', 'with --replay: your own picture that an edited one was made of')
    .option('--maps', 'also write where the network looked at each object and relation, as <name>-maps.png', false)
    .action(async (input: string, options: GenerateCommandOptions) => {
      if (options.image !== undefined && !options.replay) throw new CliError('--image is for a picture drawn again: give --replay as well, or leave it out.');
      const terminal = terminalOf(options);
      const choice = await chooseBackend(options, terminal);
      const begun = performance.now();
      const out = userPath(options.out);
      const pipeline = await loadModel(options.model, terminal);
      try {
        if (options.replay) {
          const path = userPath(input);
          const record = readRequest(path);
          const own = ownImagePath(options.image, record, path);
          const image = own === undefined ? undefined : readOwnImage(own);
          const target = join(out, `${basename(path).replace(/\.(png|json)$/, '')}-replay.png`);
          requireWritableFolder(out);
          requireNotOverwritten([target], { maps: options.maps, ...(own === undefined ? {} : { own }) });
          const drawingBegun = performance.now();
          const picture = await choice.guard(() => interruptible((signal) => pipeline.replay(record, { signal, maps: options.maps, ...(image ? { image } : {}) })));
          const seconds = (performance.now() - drawingBegun) / 1000;
          noteWithoutToken(picture.record.graph, picture, terminal);
          const images = [{ ...writePictureAndMaps(target, picture), seed: picture.record.seed, seconds }];
          reportDrawing({ images }, [picture.record.graph], choice, (performance.now() - begun) / 1000, terminal);
          return;
        }
        const graphs = readGraphs(input, userPath(input), pipeline.vocabulary, pipeline.maxTriples);
        const drawing = { ...drawSettings(options), out, maps: options.maps };
        const drawn = await choice.guard(() => drawGraphs(pipeline, graphs, pictureNames(input, graphs.length), drawing, terminal));
        reportDrawing(drawn, graphs, choice, (performance.now() - begun) / 1000, terminal);
      } finally {
        pipeline.dispose();
      }
    });

  samplingOptions(backend(common(program.command('edit'))), 'with --graph: ')
    .description('change a picture by its graph: what the change touches is drawn anew, the rest is kept')
    .argument('<picture>', 'PNG made by sgdiff, or the record beside it; with --graph any PNG of the model’s size')
    .option('--graph <text>', 'the picture is one of your own: what it shows, as a text or a JSON file')
    .addOption(new Option('--image <png>', 'your own picture that the edited one was made of, to edit it further').conflicts('graph'))
    .requiredOption('--change <change>', `${CHANGE_FORMS}; may be given several times`, repeated)
    .option('--model <model>', 'short name, folder, URL or npm package', DEFAULT_MODEL)
    .option('--out <file>', 'the new picture', 'out/edit.png')
    .addOption(new Option('--redraw <what>', 'only what the change touches, or all from the same noise').choices(['touched', 'all']).default('touched'))
    .action(async (input: string, options: EditCommandOptions) => {
      requireUsed(options);
      const terminal = terminalOf(options);
      const path = userPath(input);
      const record = options.graph === undefined ? readRequest(path) : undefined;
      const own = originalOf(options, record, path);
      const image = own === undefined ? undefined : readOwnImage(own);
      const out = userPath(options.out);
      if (!out.endsWith('.png')) throw new CliError(`--out ${options.out}: expected a file name that ends in .png.`);
      requireWritableFolder(dirname(out));
      requireNotOverwritten([out], own === undefined ? {} : { own });
      const asked = drawSettings(options);
      const choice = await chooseBackend(options, terminal);
      const begun = performance.now();
      const pipeline = await loadModel(options.model, terminal);
      try {
        const { vocabulary, maxTriples } = pipeline;
        const before = record ? record.graph : readGraph(options.graph!, userPath(options.graph!), vocabulary, maxTriples);
        const graph = applyChanges(before, options.change, vocabulary, maxTriples);
        const changePicture = (signal: AbortSignal): Promise<Picture> =>
          record
            ? pipeline.edit(record, graph, { signal, redraw: options.redraw, ...(image ? { image } : {}) })
            : pipeline.editImage(image!, before, graph, { ...asked, signal });
        const drawingBegun = performance.now();
        const picture = await choice.guard(() => interruptible(changePicture));
        const seconds = (performance.now() - drawingBegun) / 1000;
        noteWithoutToken(graph, picture, terminal);
        const images = [{ path: writePicture(out, picture), seed: picture.record.seed, seconds }];
        reportDrawing({ images }, [graph], choice, (performance.now() - begun) / 1000, terminal);
      } finally {
        pipeline.dispose();
      }
    });

  backend(common(program.command('evaluate')))
    .description('measure a model on test graphs it has never seen: graph compliance, or with --pretrain retrieval')
    .option('--model <model>', 'short name, folder, URL or npm package', DEFAULT_MODEL)
    .addOption(
      new Option('--pretrain <model>', 'measure the pre-trained encoders of this model instead')
        .conflicts(['model', 'seed', 'steps', 'sampler', 'guidance', 'out']),
    )
    .option('--count <count>', 'graphs; 200 unless given, with --pretrain about 500', number)
    .addOption(new Option('--split <split>', 'data to draw the graphs from; choose settings on validation, report test').choices(EVALUATION_SPLITS).default('test'))
    .option('--candidates <count>', 'with --pretrain: pictures to choose from, 100 unless given; --count is a multiple of it', number)
    .option('--seed <seed>', 'first seed', number, 0)
    .option('--steps <steps>', 'steps per picture, of one network call each or, with some samplers, two; the model’s unless given', number)
    .option('--sampler <name>', `${SAMPLERS.join(', ')}; the model’s unless given`)
    .option('--guidance <scale>', 'how closely the graph is followed, 1 is without guidance; the model’s unless given', number)
    .option('--out <folder>', 'also write a sheet of pictures and all numbers')
    .action(async (options: EvaluateCommandOptions) => {
      await measure(options, options.pretrain ?? options.model, async (source, pipeline, choice, terminal) => {
        if (options.pretrain !== undefined) {
          const candidates = whole('--candidates', options.candidates ?? 100);
          const sizes = { count: whole('--count', options.count ?? Math.max(1, Math.floor(500 / candidates)) * candidates), candidates };
          if (sizes.count % candidates !== 0) {
            throw new CliError(`--count ${sizes.count}: expected a multiple of --candidates, ${candidates}.`);
          }
          return evaluatePretrain(source, pipeline, { ...sizes, split: options.split }, choice, terminal);
        }
        if (options.candidates !== undefined) throw new CliError('--candidates is for retrieval: give --pretrain <model> as well, or leave it out.');
        const { seed, steps, sampler, guidance, out } = options;
        const compliance = {
          count: whole('--count', options.count ?? 200),
          split: options.split,
          seed,
          ...(steps === undefined ? {} : { steps }),
          ...(sampler === undefined ? {} : { sampler }),
          ...(guidance === undefined ? {} : { guidanceScale: guidance }),
          ...(out === undefined ? {} : { out: userPath(out) }),
        };
        return evaluateCompliance(source, pipeline, compliance, choice, terminal);
      });
    });

  backend(common(program.command('evaluate-maps')))
    .description('measure whether the attention maps of objects point at what the detector finds in the pictures')
    .option('--model <model>', 'short name, folder, URL or npm package', DEFAULT_MODEL)
    .option('--count <count>', 'graphs', wholeFromTwo, 50)
    .addOption(new Option('--split <split>', 'data to draw the graphs from').choices(EVALUATION_SPLITS).default('test'))
    .option('--seed <seed>', 'first seed', wholeFromZero, 0)
    .action(async ({ model, count, split, seed, ...options }: EvaluateMapsOptions) => {
      await measure(options, model, (source, pipeline, ...rest) => evaluateMaps(source, pipeline, { count, split, seed }, ...rest));
    });

  backend(common(program.command('evaluate-weights')))
    .description('measure what weights of objects and relations do: are those that weigh more found more often, and the others as often?')
    .option('--model <model>', 'short name, folder, URL or npm package', DEFAULT_MODEL)
    .option('--count <count>', 'graphs', wholeFromTwo, 60)
    .option('--weights <list>', 'weights, between commas', numbersFromZero, [0, 0.25, 0.5, 1, 2, 4, 8])
    .addOption(new Option('--split <split>', 'data to draw the graphs from').choices(EVALUATION_SPLITS).default('test'))
    .option('--seed <seed>', 'first seed', wholeFromZero, 0)
    .option('--steps <steps>', 'steps per picture; the model’s unless given', wholeFromOne)
    .action(async ({ model, count, weights, split, seed, steps, ...options }: EvaluateWeightsOptions) => {
      const settings = { count, weights, split, seed, ...(steps === undefined ? {} : { steps }) };
      await measure(options, model, (source, pipeline, ...rest) => evaluateWeights(source, pipeline, settings, ...rest));
    });

  backend(common(program.command('evaluate-samplers')))
    .description('measure every sampler in several numbers of steps on the same graphs: graph compliance and Fréchet distance')
    .option('--model <model>', 'short name, folder, URL or npm package', DEFAULT_MODEL)
    .option('--count <count>', 'graphs', wholeFromTwo, 64)
    .addOption(new Option('--split <split>', 'data to draw the graphs from').choices(EVALUATION_SPLITS).default('validation'))
    .option('--seed <seed>', 'first seed', wholeFromZero, 0)
    .option('--steps <list>', 'numbers of steps, between commas', wholeNumbers, TABLE_STEPS)
    .option('--only <pattern>', 'samplers whose whole names match this regular expression', wholeName)
    .option('--cells <file>', 'keeps what is measured, so that a run goes on where one was stopped', 'out/samplers-cells.json')
    .option('--fresh', 'measure also what is in that file', false)
    .option('--out <file>', 'write the results of this run there, as JSON')
    .action(async (options: EvaluateSamplersOptions) => {
      const { count, split, seed, steps, only, fresh, out } = options;
      const settings = {
        ...{ count, split, seed, steps, fresh, cells: userPath(options.cells) },
        ...(only === undefined ? {} : { only }),
        ...(out === undefined ? {} : { out: userPath(out) }),
      };
      await measure(options, options.model, (source, pipeline, ...rest) => evaluateSamplers(source, pipeline, settings, ...rest));
    });

  backend(common(program.command('evaluate-edits')))
    .description('measure edits by graph: does the edited picture show the change, and what else changed')
    .option('--model <model>', 'short name, folder, URL or npm package', DEFAULT_MODEL)
    .option('--count <count>', 'edits that the model can draw', wholeFromTwo, 100)
    .addOption(new Option('--kinds <kind...>', 'edits of these kinds only').choices(EDIT_KINDS).default([...EDIT_KINDS]))
    .addOption(new Option('--split <split>', 'data to draw the graphs from; choose settings on validation, report test').choices(EVALUATION_SPLITS).default('test'))
    .option('--seed <seed>', 'first seed', wholeFromZero, 0)
    .option('--steps <steps>', 'steps per picture; the model’s unless given', wholeFromOne)
    .option('--own', 'edit true renders of the graphs, as pictures of one’s own, instead of drawn ones', false)
    .option('--out <folder>', 'also write a sheet of pictures and all numbers')
    .action(async (options: EvaluateEditsOptions) => {
      const { count, split, seed, steps, kinds, own, out } = options;
      const settings = { count, split, seed, kinds, own, ...(steps === undefined ? {} : { steps }), ...(out === undefined ? {} : { out: userPath(out) }) };
      await measure(options, options.model, (source, pipeline, ...rest) => evaluateEdits(source, pipeline, settings, ...rest));
    });

  common(program.command('export'))
    .description('write the model folder of a trained run')
    .option('--run <folder>', 'folder of the run', DEFAULT_RUN)
    .option('--config <file>', 'JSON whose entries replace the preset’s')
    .option('--out <folder>', 'the model folder', 'models/picture-book')
    .option('--name <name>', 'name in model.json', 'picture-book')
    .action(async (options: CommonOptions & { run: string; config?: string; out: string; name: string }) => {
      const terminal = terminalOf(options);
      const config = loadConfig(options.config && userPath(options.config));
      await startBackend({ backend: 'cpu' });
      await exportModel(config, runFolder(userPath(options.run)), userPath(options.out), options.name, terminal);
    });

  common(program.command('info'))
    .description('show the parts of a preset or a model: parameters and tensors')
    .addOption(new Option('--preset <name>', `a published system: ${PRESET_NAMES.join(', ')}`).conflicts('model'))
    .option('--model <model>', 'short name, folder, URL or npm package')
    .action(async (options: CommonOptions & { preset?: string; model?: string }) => {
      await info(options, terminalOf(options));
    });

  common(program.command('import'))
    .description('make a model folder of published weights: a PyTorch file (.ckpt, .pt, .pth) or safetensors')
    .argument('<files...>', 'the weights: one file, or for lpips also two, VGG16 and the heads')
    .addOption(new Option('--as <kind>', 'what they are').choices(IMPORT_KINDS).makeOptionMandatory())
    .requiredOption('--out <folder>', 'the model folder')
    .option('--vocab <file>', 'the words the weights were trained with, in sg2im’s form; the published ones unless given')
    .addOption(new Option('--precision <type>', 'of the numbers on disk; fp16, for inception-fid fp32, unless given').choices(PRECISIONS))
    .option('--name <name>', 'name in model.json; that of the folder unless given')
    .option('--licence <licence>', 'licence in model.json, which the weights’ owner decides')
    .option('--root <keys>', 'keys that lead to the weights within a PyTorch file, e.g. model')
    .option('--skip-checksums', 'read PyTorch files that were saved without checksums', false)
    .option('--raw', 'with --as sgdiff: the raw weights of the U-Net instead of their moving average', false)
    .action(async (paths: string[], options: ImportCommandLine) => {
      const { as: kind, out, vocab, precision, name, licence, raw, root, skipChecksums } = options;
      const importing = {
        kind,
        out: userPath(out),
        raw,
        skipChecksums,
        ...(root === undefined ? {} : { root }),
        ...(vocab === undefined ? {} : { vocab: userPath(vocab) }),
        ...(precision === undefined ? {} : { precision }),
        ...(name === undefined ? {} : { name }),
        ...(licence === undefined ? {} : { licence }),
      };
      await importModel(paths.map(userPath), importing, terminalOf(options));
    });

  common(program.command('init'))
    .description('write the model folder of a published system with fresh random weights, to measure its size and time')
    .requiredOption('--preset <name>', PRESET_NAMES.join(', '))
    .requiredOption('--out <folder>', 'the model folder')
    .option('--seed <seed>', 'same seed, same weights', wholeFromZero, 0)
    .addOption(new Option('--precision <type>', 'of the numbers on disk').choices(PRECISIONS).default('fp16'))
    .action(async (options: CommonOptions & { preset: string; out: string; seed: number; precision: Precision }) => {
      await startBackend({ backend: 'cpu' }); // keeps the numbers where they were drawn
      await initModel({ ...options, out: userPath(options.out) }, terminalOf(options));
    });

  backend(common(program.command('demo')))
    .description('draw the seven example graphs with the model that ships')
    .option('--out <folder>', 'where the pictures go', 'out/demo')
    .action(async (options: BackendOptions & { out: string }) => {
      const terminal = terminalOf(options);
      const choice = await chooseBackend(options, terminal);
      await choice.guard(() => demo(userPath(options.out), choice, terminal));
    });

  common(program.command('doctor'))
    .description('show which backends work here and how fast they are, or with --contract whether they compute rightly')
    .option('--contract', 'hold every operation on every backend against its definition: values, gradients, memory, errors', false)
    .option('--backend <name>', 'with --contract: this one only')
    .option('--threads <count>', 'with --contract: threads of wasm; once 1 and once all cores unless given', wholeFromOne)
    .option('--adapter <name>', 'with --contract: adapter of webgpu, as in training')
    .addOption(new Option('--probe <backend>').hideHelp())
    .action(async (options: BackendOptions & { contract: boolean; probe?: string }) => {
      const { probe: probed } = options;
      const request = backendRequest(options);
      if (options.contract) {
        if (probed !== undefined) await probeContract({ ...request, backend: probed });
        else await contract(request, terminalOf(options));
        return;
      }
      if (Object.keys(request).length > 0) {
        throw new CliError('--backend, --threads and --adapter are for the contract: give --contract as well, or leave them out.');
      }
      if (probed !== undefined) await probe(probed);
      else doctor(terminalOf(options));
    });

  return program;
}

type GenerateCommandOptions = BackendOptions &
  AskedSettings & {
    model: string;
    out: string;
    replay: boolean;
    image?: string;
    maps: boolean;
  };

type EditCommandOptions = BackendOptions &
  AskedSettings & {
    change: string[];
    graph?: string;
    image?: string;
    model: string;
    out: string;
    redraw: 'touched' | 'all';
  };

type ImportCommandLine = CommonOptions & {
  as: ImportKind;
  out: string;
  vocab?: string;
  precision?: Precision;
  name?: string;
  licence?: string;
  raw: boolean;
  root?: string;
  skipChecksums: boolean;
};

type EvaluateCommandOptions = BackendOptions & {
  model: string;
  pretrain?: string;
  count?: number;
  split: EvaluationSplit;
  candidates?: number;
  seed: number;
  steps?: number;
  sampler?: string;
  guidance?: number;
  out?: string;
};

type EvaluateMapsOptions = BackendOptions & { model: string; count: number; split: EvaluationSplit; seed: number };

type EvaluateWeightsOptions = EvaluateMapsOptions & { weights: number[]; steps?: number };

type EvaluateEditsOptions = BackendOptions & {
  model: string;
  kinds: EditKind[];
  own: boolean;
  count: number;
  split: EvaluationSplit;
  seed: number;
  steps?: number;
  out?: string;
};

type EvaluateSamplersOptions = BackendOptions & {
  model: string;
  count: number;
  split: EvaluationSplit;
  seed: number;
  steps: readonly number[];
  only?: RegExp;
  cells: string;
  fresh: boolean;
  out?: string;
};

function common(command: Command): Command {
  return command
    .option('--json', 'print one JSON object on standard output')
    .option('--verbose', 'show where an error came from, and all names where a message leaves some out');
}

function backend(command: Command): Command {
  return command
    .option('--backend <name>', `one of ${BACKENDS.join(', ')}; the best available unless given`)
    .option('--threads <count>', 'threads within an operation of wasm or tensorflow; all cores unless given', wholeFromOne)
    .option('--adapter <name>', 'with --backend webgpu: high-performance, low-power, or a part of the name of a GPU');
}

/** Loads a model, measures it on the backend that was chosen, and disposes it. */
async function measure(
  options: BackendOptions,
  model: string,
  work: (source: ModelSource, pipeline: Pipeline, choice: BackendChoice, terminal: Terminal) => Promise<void>,
): Promise<void> {
  const terminal = terminalOf(options);
  const choice = await chooseBackend(options, terminal);
  const pipeline = await loadModel(model, terminal);
  try {
    await choice.guard(() => work(modelSource(model), pipeline, choice, terminal));
  } finally {
    pipeline.dispose();
  }
}

/** Options that a picture's record holds. */
const SETTINGS = ['seed', 'steps', 'sampler', 'guidance', 'eta', 'spacing', 'sigmas'] as const satisfies readonly (keyof AskedSettings)[];

function samplingOptions(command: Command, when = ''): Command {
  return command
    .option('--seed <seed>', `${when}same seed, same picture; 0 unless given`, number)
    .option('--steps <steps>', `${when}steps per picture, of one network call each or, with some samplers, two; the model’s unless given`, number)
    .option('--sampler <name>', `${when}${SAMPLERS.join(', ')}; the model’s unless given`)
    .option('--guidance <scale>', `${when}how closely the graph is followed, 1 is without guidance; the model’s unless given`, number)
    .option('--eta <eta>', `${when}noise of ddim, the ancestral samplers and the SDE ones, 0 to 1; the model’s or the sampler’s unless given`, number)
    .option('--spacing <name>', `${when}which timesteps the steps visit: ${SPACINGS.join(', ')}; the model’s unless given`)
    .option('--sigmas <name>', `${when}levels of noise in place of timesteps: ${SIGMA_LISTS.join(', ')}; schedule, the timesteps, unless given`);
}

/** Refuses options of `edit` that would do nothing: whether there is a record decides which. */
function requireUsed(options: EditCommandOptions): void {
  const given = SETTINGS.filter((name) => options[name] !== undefined).map((name) => `--${name}`);
  if (options.graph === undefined && given.length > 0) {
    throw new CliError(
      `${given.join(', ')}: expected with --graph, received for a picture whose record holds its settings. Leave them out, or draw the graph ` +
        'with "sgdiff generate".',
    );
  }
  if (options.redraw === 'touched') return;
  if (options.graph !== undefined) {
    throw new CliError(
      '--redraw all: expected for a picture made by sgdiff, received with --graph for one of your own, of which nothing would be left. ' +
        'Leave it out, or draw the graph with "sgdiff generate".',
    );
  }
  if (options.image !== undefined) {
    throw new CliError('--image: expected with --redraw touched, received with all, which leaves nothing of your own picture. Leave one of them out.');
  }
}

/** Where the picture of the user's own is that an edit starts from, if it does. */
function originalOf({ image, redraw }: EditCommandOptions, record: RequestRecord | undefined, path: string): string | undefined {
  if (record === undefined) return path;
  return redraw === 'all' ? undefined : ownImagePath(image, record, path);
}

/**
 * Where the picture of the user's own is that a record needs.
 *
 * @throws CliError if none was given for a record that needs one, or one for a record that needs none.
 */
function ownImagePath(image: string | undefined, record: RequestRecord, path: string): string | undefined {
  if (image !== undefined && record.image === undefined) {
    throw new CliError(`--image ${image}: expected for a record that needs a picture of your own, received for ${path}, which needs none. Leave it out.`);
  }
  if (image === undefined && record.image !== undefined) {
    throw new CliError(`${path} was made of a picture of your own: expected that, too, received none. Give it with --image.`);
  }
  return image === undefined ? undefined : userPath(image);
}

function terminalOf(options: CommonOptions): Terminal {
  return createTerminal({ json: options.json ?? false });
}

function backendRequest({ backend: name, threads, adapter }: BackendOptions): AskedBackend {
  return {
    ...(name === undefined ? {} : { backend: name }),
    ...(threads === undefined ? {} : { threads }),
    ...(adapter === undefined ? {} : { adapter }),
  };
}

async function chooseBackend(options: BackendOptions, terminal: Terminal): Promise<BackendChoice> {
  const choice = await startBackend(backendRequest(options));
  terminal.note(`backend: ${describeBackend(choice)}`);
  return choice;
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('Expected a number.');
  return value;
}

function whole(option: string, value: number): number {
  if (Number.isInteger(value) && value >= 2) return value;
  throw new CliError(`${option}: expected a whole number from 2, received ${value}.`);
}

function wholeFromOne(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('Expected a whole number from 1.');
  return value;
}

function wholeFromTwo(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 2) throw new InvalidArgumentError('Expected a whole number from 2.');
  return value;
}

function wholeNumbers(text: string): number[] {
  return text.split(',').map(wholeFromOne);
}

function numbersFromZero(text: string): number[] {
  return text.split(',').map((entry) => {
    const value = Number(entry);
    if (entry.trim() === '' || !Number.isFinite(value) || value < 0) throw new InvalidArgumentError('Expected numbers from 0, between commas.');
    return value;
  });
}

function wholeName(text: string): RegExp {
  try {
    return new RegExp(`^(?:${text})$`);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function wholeFromZero(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('Expected a whole number from 0.');
  return value;
}

/** Collects an option that is given several times. */
function repeated(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('Expected a number above 0.');
  return value;
}
