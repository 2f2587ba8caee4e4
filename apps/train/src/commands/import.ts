import { existsSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { openSafetensors, type StateDict } from '@sgdiff/nn';
import { MODEL_FORMAT, parseManifest, parsePartManifest, type ModelFile, type ModelManifest, type PartManifest } from '@sgdiff/pipeline';
import {
  planImport,
  readTensor,
  readTrainingFacts,
  sizeOf,
  type ImportKind,
  type ImportOptions,
  type ImportPlan,
  type PartSize,
  type PlannedPart,
  type PlannedWords,
  type Precision,
} from '@sgdiff/published-models';
import { parseVocabulary, VocabularyError, vocabularyToJson, type Vocabulary } from '@sgdiff/sg-schema';
import { openTorchFile } from '@sgdiff/torch-file';
import { fileSource } from '@sgdiff/torch-file/node';
import { CliError } from '../errors';
import { messageOf, readUserText } from '../files';
import { requireFreeTarget, writeModelFolder, type StreamedWeights, type WriteOptions } from '../model-folder';
import { stoppable } from '../stop-signals';
import type { Terminal } from '../terminal';

export type ImportCommandOptions = {
  readonly kind: ImportKind;
  readonly out: string;
  /** Half precision, except for networks whose numbers are held against other people's. */
  readonly precision?: Precision;
  /** File of words, in sg2im's form; the published words unless given. */
  readonly vocab?: string;
  /** Name in `model.json`; the folder's unless given. */
  readonly name?: string;
  readonly licence?: string;
  /** Take the raw weights of the U-Net instead of their moving average. */
  readonly raw?: boolean;
  /** Keys that lead to the weights in a PyTorch file, e.g. `model` or `checkpoint.model`. */
  readonly root?: string;
  /** Read archives that were saved without checksums. */
  readonly skipChecksums?: boolean;
};

/** For tests: other sizes than the published ones, and a disk that fails. */
export type ImportSetting = Pick<ImportOptions, 'parts'> & Pick<WriteOptions, 'append'>;

/** What `--json` prints. */
export type ImportResult = {
  readonly model: string;
  readonly kind: ImportKind;
  readonly variant?: string;
  readonly precision: Precision;
  readonly parts: Readonly<Record<string, PartSize>>;
  /** Tensors of the file that were left out: how many, by reason. */
  readonly ignored: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly seconds: number;
};

/** The weights of others are under their terms, which no file of theirs tells. */
export const UNKNOWN_LICENCE = 'unknown: imported weights, under the terms of whoever published them';

/**
 * Makes a model folder of a checkpoint: plans by names and shapes, then reads, converts and writes one tensor after another.
 * Either the whole folder comes to be, or nothing.
 *
 * @param paths One file; for `lpips` also two, which together hold the weights.
 */
export async function importModel(
  paths: readonly string[],
  options: ImportCommandOptions,
  terminal: Terminal,
  setting: ImportSetting = {},
): Promise<ImportResult> {
  const { kind, raw = false } = options;
  const out = resolve(options.out);
  const begun = performance.now();
  const name = options.name ?? basename(out);
  if (name.trim() === '') throw new CliError('--name is empty. Give the model a name.');
  if (raw && kind !== 'sgdiff') throw new CliError(`--raw is for --as sgdiff, the only file with a moving average beside the raw weights. Leave it out.`);
  const precision = options.precision ?? (kind === 'inception-fid' ? 'fp32' : 'fp16');
  if (paths.length > 1 && kind !== 'lpips') {
    throw new CliError(`--as ${kind}: expected one file, received ${paths.length}. Give the one that holds the weights.`);
  }
  requireFreeTarget(out);
  const file = await openAll(paths, options);
  try {
    const plan = planImport(kind, file.tensors, {
      name: file.name,
      weights: raw ? 'raw' : 'ema',
      ...(file.unsupported ? { unsupported: file.unsupported } : {}),
      ...(setting.parts ? { parts: setting.parts } : {}),
    });
    const vocabulary = plan.words && chooseVocabulary(plan.words, options.vocab);
    if (options.vocab !== undefined && !vocabulary) throw new CliError(`--vocab: ${kind} has no words. Leave it out.`);
    const head = { format: MODEL_FORMAT, name, licence: options.licence ?? UNKNOWN_LICENCE } as const;
    const manifest = plan.manifest && (await readTrainingFacts(file, plan.facts, plan.manifest));
    const bytes = await stoppable((signal) =>
      writeModelFolder(
        out,
        {
          precision,
          weights: plan.parts.map((part) => weightsOf(file, part)),
          texts: vocabulary ? { 'vocab.json': `${JSON.stringify(vocabularyToJson(vocabulary))}\n` } : {},
          manifest: (files) => (manifest ? modelText({ ...head, ...manifest, files }) : partText(head, plan.parts[0]!, files)),
        },
        { terminal, doing: 'importing', signal, ...(setting.append ? { append: setting.append } : {}) },
      ),
    );
    const result: ImportResult = {
      model: out,
      kind,
      ...(plan.words ? { variant: plan.words.variant } : {}),
      precision,
      parts: Object.fromEntries(plan.parts.map((part) => [part.kind, sizeOf(part.tensors)])),
      ignored: Object.fromEntries(plan.ignored.map(({ reason, names }) => [reason, names.length])),
      bytes,
      seconds: (performance.now() - begun) / 1000,
    };
    report(result, plan, terminal);
    return result;
  } finally {
    await file.close();
  }
}

type WeightFile = StateDict & { readonly unsupported?: ReadonlyMap<string, string> };

type OpenOptions = Pick<ImportCommandOptions, 'root' | 'skipChecksums'>;

/** Several files as one. */
async function openAll(paths: readonly string[], options: OpenOptions): Promise<WeightFile> {
  const files: WeightFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of files) await file.close();
  };
  try {
    for (const path of paths) files.push(await openWeights(path, options));
    if (files.length === 1) return files[0]!;
    const homes = new Map<string, WeightFile>();
    for (const file of files) {
      for (const name of file.tensors.keys()) {
        const other = homes.get(name);
        if (other) throw new CliError(`"${name}" is in ${other.name} and in ${file.name}. Give files that hold different weights.`);
        homes.set(name, file);
      }
    }
    return {
      name: files.map(({ name }) => name).join(' + '),
      tensors: new Map(files.flatMap(({ tensors }) => [...tensors])),
      unsupported: new Map(files.flatMap(({ unsupported }) => [...(unsupported ?? [])])),
      read: (tensor) => homes.get(tensor)!.read(tensor),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Opens a file of weights, safetensors or PyTorch, by what it holds and not by its name.
 *
 * @throws CliError if it is not there or is a folder; TorchFileError or CheckpointError if it is no such file.
 */
export async function openWeights(path: string, { root, skipChecksums = false }: OpenOptions = {}): Promise<WeightFile> {
  if (!existsSync(path)) throw new CliError(`${path} does not exist. Check the path.`);
  if (statSync(path).isDirectory()) throw new CliError(`${path} is a folder, expected a file of weights. Name the file in it.`);
  if (statSync(path).size === 0) throw new CliError(`${path} is empty, expected a file of weights. Get it again.`);
  let source: Awaited<ReturnType<typeof fileSource>>;
  try {
    source = await fileSource(path);
  } catch (error) {
    throw new CliError(`Could not open ${path}: ${messageOf(error)}. Is it readable?`, { cause: error });
  }
  // Safetensors begin with the length of a JSON object; PyTorch's archives with "PK", its older files with a pickle.
  const [, , , , , , , high, brace] = await source.read(0, Math.min(9, source.size));
  if (high === 0 && brace === '{'.charCodeAt(0)) return openSafetensors(source);
  return openTorchFile(source, { checkCrc: !skipChecksums, ...(root === undefined ? {} : { root: root.split('.') }) });
}

/** The words of a graph encoder: the user's, or the published ones of the same sizes. */
export function chooseVocabulary(words: PlannedWords, path: string | undefined): Vocabulary {
  const { objectCount, predicateCount, vocabulary, variant } = words;
  const expected = `${objectCount} objects and ${predicateCount} predicates`;
  if (path === undefined) {
    if (vocabulary) return vocabulary;
    const whose = variant === 'vg150' ? 'the sizes of Visual Genome’s cut to 150 kinds of objects' : 'no published model’s sizes';
    throw new CliError(
      `The weights were trained on ${expected}, ${whose}, so their words are not known here. ` +
        'Give the vocab.json that belongs to them with --vocab.',
    );
  }
  let given: Vocabulary;
  try {
    given = parseVocabulary(readUserText(path, 'Vocabulary'));
  } catch (cause) {
    if (!(cause instanceof VocabularyError)) throw cause;
    throw new CliError(`${path} is no vocabulary: ${cause.message}`, { cause });
  }
  const { objects, predicates } = given;
  if (objects.length === objectCount && predicates.length === predicateCount) return given;
  throw new CliError(
    `${path} does not belong to these weights: expected ${expected}, received ${objects.length} and ${predicates.length}. ` +
      'Give the vocab.json that they were trained with.',
  );
}

function weightsOf(file: StateDict, { kind, tensors }: PlannedPart): StreamedWeights {
  const planned = new Map(tensors.map((tensor) => [tensor.path, tensor]));
  return {
    file: `${kind}.safetensors`,
    tensors: tensors.map(({ path, shape }) => ({ path, shape })),
    read: ({ path }) => readTensor(file, planned.get(path)!),
  };
}

/** Text of a whole model's `model.json`, after the checks of whoever will load it. */
export function modelText(manifest: ModelManifest): string {
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  parseManifest(text, 'model.json');
  return text;
}

function partText(
  head: Pick<PartManifest, 'format' | 'name' | 'licence'>,
  { kind, config }: PlannedPart,
  files: Readonly<Record<string, ModelFile>>,
): string {
  if (kind === 'unet') throw new TypeError('importModel: a U-Net alone has no model folder.');
  const manifest: PartManifest = { ...head, part: { kind, config }, files };
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  parsePartManifest(text, 'model.json');
  return text;
}

function report(result: ImportResult, plan: ImportPlan, terminal: Terminal): void {
  const { model, parts, variant, precision, bytes, seconds } = result;
  for (const [part, { parameters, tensors }] of Object.entries(parts)) {
    terminal.say(`${part}: ${parameters.toLocaleString('en')} parameters in ${tensors} tensors`);
  }
  if (plan.words) terminal.say(`words: ${plan.words.title} (${variant})`);
  for (const { reason, names } of plan.ignored) {
    terminal.say(`left out: ${names.length} ${names.length === 1 ? 'tensor' : 'tensors'}, ${reason}`);
  }
  terminal.say(`Wrote ${model}: ${(bytes / 1e6).toFixed(1)} MB in ${precision}, ${seconds.toFixed(1)} s.`);
  terminal.result(result);
}
