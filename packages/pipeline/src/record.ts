import { parseSceneGraph, type SceneGraph } from '@sgdiff/sg-schema';
import { describe, RequestError } from './errors';
import { checkSettings, requireSeed } from './request-settings';
import type { SamplerName } from './samplers';
import { DEFAULT_SPACING, type SpacingName } from './spacings';

/** All it takes to draw a picture again. Plain JSON. */
export type RequestRecord = {
  readonly format: 1;
  readonly graph: SceneGraph;
  readonly model: {
    readonly name: string;
    /** SHA-256 of `model.json`, which holds the hashes of all other files. */
    readonly sha256: string;
  };
  readonly seed: number;
  readonly sampler: SamplerName;
  /** As asked: with 'published' spacing the run may have taken more. */
  readonly steps: number;
  readonly spacing: SpacingName;
  readonly guidanceScale: number;
  readonly eta: number;
  /** The picture is equal to the byte on the same backend, and close on others. */
  readonly backend: string;
  readonly versions: Readonly<Record<string, string>>;
};

/**
 * The record in data read from a picture or a file, checked. Keys that are no part of the format are left out. A record without
 * a spacing is from before there was a choice, and gets the one of then, 'trailing'.
 *
 * @throws RequestError if something it needs is missing or of the wrong kind; SceneGraphError for its graph.
 */
export function parseRecord(value: unknown): RequestRecord {
  if (!isObject(value))
    throw new RequestError(`Request record: expected an object, received ${describe(value)}. ${REMEDY}`);
  const record = value;
  if (record['format'] === undefined) {
    throw new RequestError(
      `Request record: expected the record of one picture, received an object without "format". ${REMEDY}`,
    );
  }
  if (record['format'] !== 1) {
    throw new RequestError(
      `Request record: format: expected 1, received ${describe(record['format'])}. Use the version of @sgdiff/pipeline that wrote it.`,
    );
  }
  const { model, backend, versions } = record;
  if (!isObject(model) || typeof model['name'] !== 'string' || typeof model['sha256'] !== 'string') {
    throw new RequestError(
      `Request record: model: expected an object with name and sha256, received ${describe(model)}. ${REMEDY}`,
    );
  }
  if (typeof backend !== 'string') {
    throw new RequestError(`Request record: backend: expected a string, received ${describe(backend)}. ${REMEDY}`);
  }
  if (!isObject(versions) || !isStrings(versions)) {
    throw new RequestError(
      `Request record: versions: expected package names to versions, received ${describe(versions)}. ${REMEDY}`,
    );
  }
  const { sampler, steps, spacing = DEFAULT_SPACING, guidanceScale, eta } = record;
  try {
    return {
      format: 1,
      graph: parseSceneGraph(record['graph']),
      model: { name: model['name'], sha256: model['sha256'] },
      seed: requireSeed(record['seed']),
      ...checkSettings({ sampler, steps, spacing, guidanceScale, eta }),
      backend,
      versions,
    };
  } catch (cause) {
    if (!(cause instanceof RequestError)) throw cause;
    throw new RequestError(`Request record: ${cause.message}`, { cause });
  }
}

const REMEDY = 'Take the record that @sgdiff/pipeline gave with the picture.';

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStrings(value: Record<string, unknown>): value is Record<string, string> {
  return Object.values(value).every((entry) => typeof entry === 'string');
}
