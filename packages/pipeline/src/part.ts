import type { ParamTree, TensorEntry } from '@sgdiff/nn';
import { describe, ModelError } from './errors';
import { findFileProblem, isObject, parseModelJson, type MODEL_FORMAT, type ModelFile } from './manifest';
import { urlSource, type ModelSource } from './model-source';
import { requireBackend } from './require-backend';
import { loadWeights, type WeightsOptions } from './weights';

/** What a folder of a single part can hold; its weights are in `<kind>.safetensors`. */
export const PART_KINDS = ['encoder', 'autoencoder', 'image-encoder', 'inception', 'perceptual'] as const;
export type PartKind = (typeof PART_KINDS)[number];

/** `model.json` of a folder that holds one part of a model, or a network that measures or teaches one. */
export type PartManifest = {
  readonly format: typeof MODEL_FORMAT;
  readonly name: string;
  readonly licence: string;
  readonly description?: string;
  readonly part: {
    readonly kind: PartKind;
    /** Plain JSON that the package of the part understands. */
    readonly config: unknown;
  };
  /** Every other file of the folder. */
  readonly files: Readonly<Record<string, ModelFile>>;
};

const AGAIN = 'Correct it or import the part again.';

/**
 * Checks the `model.json` of a folder with a single part.
 *
 * @param where Path or URL of the file, for messages.
 * @throws ModelError `invalid_manifest` or `unsupported_format`.
 */
export function parsePartManifest(text: string, where: string): PartManifest {
  const value = parseModelJson(text, where);
  const fail = (at: string, expected: string, received: unknown): never => refuse(at, expected, describe(received), AGAIN);
  const refuse = (at: string, expected: string, received: string, remedy: string): never => {
    throw new ModelError(`${where}: ${at}: expected ${expected}, received ${received}. ${remedy}`, {
      code: 'invalid_manifest',
      file: 'model.json',
    });
  };
  for (const key of ['name', 'licence']) {
    if (typeof value[key] !== 'string') fail(key, 'a string', value[key]);
  }
  const { part, parts, files } = value;
  if (part === undefined && isObject(parts)) {
    refuse('part', 'the folder of a single part', 'a whole model', 'Name the folder that `sgdiff import` wrote for this part.');
  }
  if (!isObject(part)) return fail('part', 'an object', part);
  const { kind, config } = part;
  if (!(PART_KINDS as readonly unknown[]).includes(kind)) fail('part.kind', `one of ${PART_KINDS.join(', ')}`, kind);
  if (!isObject(config)) fail('part.config', 'an object', config);
  if (!isObject(files)) return fail('files', 'an object', files);
  const problem = findFileProblem(files, [partFile(kind as PartKind)]);
  if (problem) fail(problem.at, problem.expected, files[problem.file]);
  return value as unknown as PartManifest;
}

/** Name of the file with a part's weights. */
export function partFile(kind: PartKind): string {
  return `${kind}.safetensors`;
}

/** A part of a model, ready to run. */
export type LoadedPart<T extends ParamTree, C> = {
  readonly manifest: PartManifest;
  readonly config: C;
  /** The caller disposes them. */
  readonly params: T;
};

/**
 * Loads a folder that holds a single part: a first stage, a graph encoder, an image encoder, a network for a metric or a loss.
 *
 * @param source The folder; a string is a URL.
 * @param kind What it has to hold.
 * @param list Every weight of the part and its shape, from its config, e.g. `autoencoderTensors`. Throws for a config it cannot use.
 * @returns Config and weights. The caller disposes the weights.
 * @throws ModelError naming the file, RequestError when no tfjs backend can be started; nothing stays allocated then.
 */
export async function loadPart<T extends ParamTree, C>(
  source: ModelSource | string,
  kind: PartKind,
  list: (config: C) => readonly TensorEntry[],
  options: WeightsOptions = {},
): Promise<LoadedPart<T, C>> {
  await requireBackend('loadPart');
  const folder = typeof source === 'string' ? urlSource(source) : source;
  const where = `${folder.name}/model.json`;
  const manifest = parsePartManifest(new TextDecoder().decode(await folder.read('model.json')), where);
  if (manifest.part.kind !== kind) {
    throw new ModelError(
      `${where}: part.kind: expected "${kind}", received "${manifest.part.kind}". Name the folder of the right part.`,
      { code: 'invalid_manifest', file: 'model.json' },
    );
  }
  const config = manifest.part.config as C;
  const params = await loadWeights<T>(folder, manifest, partFile(kind), () => list(config), options);
  return { manifest, config, params };
}
