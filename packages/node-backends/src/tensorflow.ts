import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { activate } from './activate';
import type { StartedBackend } from './choice';
import { BackendError, messageOf } from './errors';
import { createGuard, hostMemoryError, memoryError } from './guard';

export type TensorflowRequest = {
  /** Threads within an operation; all cores unless given. */
  readonly threads?: number;
  /** Folders from which the add-on is looked for, after the place where this package lies. */
  readonly from?: readonly string[];
};

/** The better first. */
const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

type AddOn = { readonly name: string; readonly folder: string };

/**
 * Starts the native backend from the package `@tensorflow/tfjs-node-gpu` or `@tensorflow/tfjs-node`, whichever is
 * installed and has its native binding.
 *
 * @throws BackendError `unavailable` where there is none; the message says how to get it.
 */
export async function startTensorflow({ threads, from = [] }: TensorflowRequest = {}): Promise<StartedBackend> {
  const { name, folder } = findAddOn(from);
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  if (threads !== undefined) process.env['TF_NUM_INTRAOP_THREADS'] = String(threads);
  restoreNodeUtil();
  try {
    createRequire(import.meta.url)(folder);
  } catch (error) {
    throw new BackendError(
      'unavailable',
      `tensorflow: the native binding of ${name} does not load: ${messageOf(error)}`,
      { cause: error },
    );
  }
  await activate('tensorflow');
  const { isUsingGpuDevice } = tf.backend() as unknown as { isUsingGpuDevice: boolean };
  return {
    name: 'tensorflow',
    threads: threads ?? availableParallelism(),
    ...(isUsingGpuDevice ? { adapter: 'CUDA' } : {}),
    remark: name,
    guard: createGuard((error) => hostMemoryError('tensorflow', error) ?? exhausted(error)).guard,
  };
}

function findAddOn(from: readonly string[]): AddOn {
  const places = [import.meta.url, ...from.map((folder) => pathToFileURL(`${folder}/`).href)];
  const found = PACKAGES.flatMap((name) => places.flatMap((place) => resolve(name, place)));
  const built = found.find(({ folder }) => hasBinding(folder));
  if (built) return built;
  if (found.length === 0) {
    throw new BackendError(
      'unavailable',
      `tensorflow: none of ${PACKAGES.join(', ')} is installed. npm install ${PACKAGES[1]}`,
    );
  }
  const [{ name, folder }] = found;
  throw new BackendError(
    'unavailable',
    `tensorflow: ${name} has no native binding, since its install script did not run. ` +
      `To let it run, which downloads libtensorflow: npm run install --prefix "${folder}"`,
  );
}

function resolve(name: string, place: string): AddOn[] {
  try {
    return [{ name, folder: dirname(createRequire(place).resolve(`${name}/package.json`)) }];
  } catch {
    return []; // not installed there
  }
}

/** The package loads half of itself before it sees that its binding is missing. */
function hasBinding(folder: string): boolean {
  const lib = join(folder, 'lib');
  return existsSync(lib) && readdirSync(lib).some((version) => existsSync(join(lib, version, 'tfjs_binding.node')));
}

/** tfjs-node 4.22 calls two functions of `node:util` that Node 23 removed. */
function restoreNodeUtil(): void {
  const util = createRequire(import.meta.url)('node:util') as { isArray?: unknown; isNullOrUndefined?: unknown };
  util.isArray ??= Array.isArray;
  util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
}

function exhausted(error: unknown): BackendError | undefined {
  const message = messageOf(error);
  return /OOM when allocating|failed to allocate memory|resource exhausted/i.test(message)
    ? memoryError('tensorflow', message, error)
    : undefined;
}
