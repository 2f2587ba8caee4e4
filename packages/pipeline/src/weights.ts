import {
  CheckpointError,
  createRng,
  disposeParams,
  expectTensors,
  flattenParams,
  restoreParams,
  streamSafetensors,
  toTensor,
  treeFromPaths,
  type ParamTree,
  type Rng,
  type TensorEntry,
} from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { ModelError } from './errors';
import { streamModelFile, type FileList } from './model-files';
import type { ModelSource } from './model-source';

export type WeightsOptions = {
  /** Called as the bytes of a weight file come in: how many of it are there. */
  readonly onBytes?: (file: string, bytes: number) => void;
};

/**
 * Weights of one part, in the tree that their paths make. They go to the backend one by one as they come in: at the peak
 * there are the weights and one tensor more.
 *
 * @param list Names every weight and its shape, from the part's config: e.g. `() => unetTensors(config)`.
 * @returns The weights. The caller disposes them.
 * @throws ModelError `missing_file`, `altered_file`; `invalid_manifest` if `list` refuses its config; `weights_mismatch` listing all
 *   names that do not fit. Nothing stays allocated then.
 */
export async function loadWeights<T extends ParamTree>(
  source: ModelSource,
  manifest: FileList,
  file: string,
  list: () => readonly TensorEntry[],
  options: WeightsOptions = {},
): Promise<T> {
  const expected = fromConfig(source, file, list);
  return treeFromPaths<T>(await loadTensors(source, manifest, file, expected, options));
}

/**
 * Weights of one part, in the tree that `init` makes. For small parts, and trees with lists that may be empty.
 *
 * @param init Makes a tree of the right names and shapes. The generator it is given yields zeros, which is quicker: the
 *   numbers are not used.
 * @returns The weights. The caller disposes them.
 * @throws ModelError as `loadWeights`; nothing stays allocated then.
 */
export async function loadModelWeights<T extends ParamTree>(
  source: ModelSource,
  manifest: FileList,
  file: string,
  init: (rng: Rng) => T,
): Promise<T> {
  // The tidy frees what was made if `init` throws half-way.
  const template = fromConfig(source, file, () => tf.tidy(() => init(zeroRng) as T & tf.TensorContainer));
  try {
    const expected = flattenParams(template).map(({ path, tensor }) => ({ path, shape: tensor.shape }));
    const tensors = await loadTensors(source, manifest, file, expected, {});
    try {
      return restoreParams(template, Object.fromEntries(tensors));
    } finally {
      tf.dispose([...tensors.values()]);
    }
  } finally {
    disposeParams(template);
  }
}

/** The tensors of a file by path, exactly those that are expected. The caller disposes them. */
async function loadTensors(
  source: ModelSource,
  manifest: FileList,
  file: string,
  expected: readonly TensorEntry[],
  { onBytes }: WeightsOptions,
): Promise<Map<string, tf.Tensor>> {
  const stream = streamModelFile(source, manifest, file);
  const loaded = new Map<string, tf.Tensor>();
  try {
    const tensors = streamSafetensors(stream.chunks, (entries) =>
      expectTensors(
        'loadWeights',
        expected,
        entries.map(({ name, shape }) => ({ path: name, shape })),
      ),
    );
    for await (const { name, readBytes, ...tensor } of tensors) {
      loaded.set(name, toTensor(tensor));
      onBytes?.(file, readBytes);
    }
    // In the order of the model, not of the file: what lists the weights of two trees pairs them so.
    return new Map(expected.map(({ path }) => [path, loaded.get(path)!]));
  } catch (cause) {
    tf.dispose([...loaded.values()]);
    if (!(cause instanceof CheckpointError)) {
      await stream.cancel();
      throw cause;
    }
    await stream.check(); // a file that was cut or altered is that, whatever the reader made of it
    throw new ModelError(`Model file ${source.name}/${file} does not fit model.json: ${cause.message}`, {
      code: 'weights_mismatch',
      file,
      cause,
    });
  }
}

function fromConfig<T>(source: ModelSource, file: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new ModelError(
      `${source.name}/model.json: the config of the part in ${file} cannot be used: ${(cause as Error).message} ` +
        `Correct it or get the model folder again.`,
      { code: 'invalid_manifest', file: 'model.json', cause },
    );
  }
}

/** Leaves arrays at zero. */
const zeroRng: Rng = {
  ...createRng(),
  fork: () => zeroRng,
  fillNormal: (out) => out,
  fillUniform: (out) => out,
};
