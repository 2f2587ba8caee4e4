import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { open, statfs, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { encodeSafetensorsHeader, type TensorEntry } from '@sgdiff/nn';
import type { ModelFile } from '@sgdiff/pipeline';
import { tensorBytes, type Precision } from '@sgdiff/published-models';
import { CliError } from './errors';
import { isRunning, messageOf, requireWritableFolder } from './files';
import type { Terminal } from './terminal';

/** Weights of one file of a model folder, made one tensor at a time. */
export type StreamedWeights = {
  /** Name in the folder, e.g. `unet.safetensors`. */
  readonly file: string;
  readonly tensors: readonly TensorEntry[];
  /** Values of a tensor in our layout; asked for in the order of `tensors`. */
  read(tensor: TensorEntry): Promise<Float32Array>;
  /** Called after the last tensor, or when writing fails. */
  close?(): void;
};

export type ModelFolderContent<T extends StreamedWeights = StreamedWeights> = {
  readonly precision: Precision;
  readonly weights: readonly T[];
  /** Small files besides `model.json`. */
  readonly texts: Readonly<Record<string, string>>;
  /** The text of `model.json`, which lists all other files. Throws if they make no model. */
  manifest(files: Readonly<Record<string, ModelFile>>): string;
};

export type WriteOptions = {
  readonly terminal: Terminal;
  /** What is done, for the progress bar and messages, e.g. `importing`. */
  readonly doing: string;
  /** Ends the writing between two tensors. */
  readonly signal?: AbortSignal;
  /** Writes all bytes at the end of a file; for tests of a disk that fails. */
  readonly append?: (file: FileHandle, bytes: Uint8Array) => Promise<void>;
};

/**
 * Writes a model folder tensor by tensor: into a folder beside the target, which gets the target's name when all is flushed. At no
 * time does a part of a model stand under that name, and whatever fails, nothing is left behind.
 *
 * @param out A folder that does not exist yet, or is empty, or a link to an empty one.
 * @returns Bytes of all files.
 * @throws CliError if the target is taken, there is too little space, writing fails, or `signal` ended it; what `read` throws.
 */
export async function writeModelFolder(out: string, content: ModelFolderContent, options: WriteOptions): Promise<number> {
  const target = requireFreeTarget(out);
  const { weights, texts, precision } = content;
  const total = weights.reduce((sum, { tensors }) => sum + bytesOf(tensors, precision), 0);
  await requireSpace(target, total);
  removeLeftovers(target);
  const folder = `${target}${UNFINISHED}${process.pid}`;
  const files: Record<string, ModelFile> = {};
  const progress = options.terminal.progress(`${options.doing}, MB`, Math.ceil(total / 1e6));
  let done = 0;
  try {
    mkdirSync(folder, { recursive: true });
    for (const part of weights) {
      try {
        files[part.file] = await writeFile(join(folder, part.file), options, async (write) => {
          await write(encodeSafetensorsHeader(part.tensors.map(({ path, shape }) => ({ name: path, dtype: DTYPES[precision], shape }))));
          for (const tensor of part.tensors) {
            if (options.signal?.aborted) throw new CliError(`Stopped. Nothing was written to ${out}.`, { exitCode: 130 });
            const bytes = tensorBytes(await part.read(tensor), precision, tensor.path);
            await write(bytes);
            done += bytes.length;
            progress.update(Math.floor(done / 1e6), part.file);
          }
        });
      } finally {
        part.close?.();
      }
    }
    for (const [file, text] of Object.entries(texts)) {
      files[file] = await writeFile(join(folder, file), options, (write) => write(Buffer.from(text)));
    }
    const manifest = Buffer.from(content.manifest(files));
    await writeFile(join(folder, 'model.json'), options, (write) => write(manifest));
    if (existsSync(target)) rmdirSync(target); // empty, or it was refused
    renameSync(folder, target);
    return manifest.length + Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw describeFailure(error, out, total);
  } finally {
    progress.stop();
  }
}

/** Between the target's name and the process that writes it. */
const UNFINISHED = '.unfinished-';

const DTYPES = { fp16: 'F16', fp32: 'F32' } as const;

function bytesOf(tensors: readonly TensorEntry[], precision: Precision): number {
  const numbers = tensors.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0);
  return numbers * (precision === 'fp16' ? 2 : 4);
}

async function writeFile(
  path: string,
  { append = appendAll }: WriteOptions,
  fill: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<ModelFile> {
  const hash = createHash('sha256');
  let length = 0;
  const file = await open(path, 'wx');
  try {
    await fill(async (bytes) => {
      await append(file, bytes);
      hash.update(bytes);
      length += bytes.length;
    });
    await file.sync();
  } finally {
    await file.close();
  }
  return { sha256: hash.digest('hex'), bytes: length };
}

async function appendAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}

/**
 * A folder of something else is not mixed with a model, nor is a model replaced.
 *
 * @returns Where the folder will be: an absolute path without a slash at its end, behind the link if `out` is one.
 * @throws CliError if the target is taken, is a file or a link to nothing, or cannot be written to.
 */
export function requireFreeTarget(out: string): string {
  const target = resolve(out);
  if (existsSync(target) && statSync(target).isDirectory() && readdirSync(target).length > 0) {
    throw new CliError(`${out} is not empty. Choose another folder with --out, or remove this one.`);
  }
  requireWritableFolder(target);
  if (!existsSync(target)) return target;
  const real = realpathSync(target);
  requireWritableFolder(dirname(real)); // it is made beside the empty folder, and takes its place
  return real;
}

/** Says at once that the disk is too small, rather than after minutes. */
async function requireSpace(out: string, needed: number): Promise<void> {
  let there = out;
  while (!existsSync(there)) there = dirname(there);
  const { bavail, bsize } = await statfs(there);
  if (bavail * bsize >= needed) return;
  throw new CliError(`${out}: expected ${megabytes(needed)} of free space, received ${megabytes(bavail * bsize)}. ${SPACE}`);
}

const SPACE = 'Free some, or choose a folder on another disk with --out.';

/** What a process that was killed has left of the same target; this one has not begun yet, whoever had its number before. */
function removeLeftovers(out: string): void {
  if (!existsSync(dirname(out))) return;
  for (const name of readdirSync(dirname(out))) {
    if (!name.startsWith(`${basename(out)}${UNFINISHED}`)) continue;
    const writer = Number(name.slice(basename(out).length + UNFINISHED.length));
    if (Number.isSafeInteger(writer) && writer > 0 && (writer === process.pid || !isRunning(writer))) {
      rmSync(join(dirname(out), name), { recursive: true, force: true });
    }
  }
}

function describeFailure(error: unknown, out: string, needed: number): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CliError(`${out}: the disk is full; expected ${megabytes(needed)} of free space. Nothing was kept. ${SPACE}`, { cause: error });
  }
  if (syscall === undefined) return error;
  return new CliError(`Could not write ${out}: ${messageOf(error)}. Nothing was kept. Choose another folder with --out.`, { cause: error });
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
