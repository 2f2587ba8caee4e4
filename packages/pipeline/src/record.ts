import { parseSceneGraph, type SceneGraph } from '@sgdiff/sg-schema';
import { describe, RequestError } from './errors';
import { checkSettings, requireSeed } from './request-settings';
import type { SamplerName } from './samplers';
import { DEFAULT_SIGMA_LIST, type SigmaListName } from './sigma-lists';
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
  readonly sigmas: SigmaListName;
  readonly guidanceScale: number;
  readonly eta: number;
  /** Of a picture that was made by editing others: what it was made of, from the first on. Absent where it was drawn in full. */
  readonly edits?: readonly EditStep[];
  /** Of a picture that was made of a given one: SHA-256 of its pixels. It is needed to draw this one again. */
  readonly image?: string;
  /** The picture is equal to the byte on the same backend, and close on others. */
  readonly backend: string;
  readonly versions: Readonly<Record<string, string>>;
};

/** So often a picture can be edited before it has to be drawn in full: every edit draws those before it along. */
export const MAX_EDITS = 8;

/** A picture on the way to an edited one. */
export type EditStep = {
  readonly graph: SceneGraph;
  /** Where the next picture was drawn anew: rows of the latents' cells, a digit from 0, kept, to f, drawn anew, per cell. */
  readonly region: readonly string[];
};

/**
 * The record in data read from a picture or a file, checked. Keys that are no part of the format are left out. A record without
 * a spacing or a list of sigmas is from before there was a choice, and gets the one of then, 'trailing' and 'schedule'.
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
  const { sampler, steps, spacing = DEFAULT_SPACING, sigmas = DEFAULT_SIGMA_LIST, guidanceScale, eta } = record;
  try {
    return {
      format: 1,
      graph: parseSceneGraph(record['graph']),
      model: { name: model['name'], sha256: model['sha256'] },
      seed: requireSeed(record['seed']),
      ...checkSettings({ sampler, steps, spacing, sigmas, guidanceScale, eta }),
      ...(record['image'] === undefined ? {} : { image: requireHash(record['image']) }),
      ...(record['edits'] === undefined ? {} : { edits: parseEdits(record['edits']) }),
      backend,
      versions,
    };
  } catch (cause) {
    if (!(cause instanceof RequestError)) throw cause;
    throw new RequestError(`Request record: ${cause.message}`, { cause });
  }
}

function requireHash(value: unknown): string {
  if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return value;
  throw new RequestError(`image: expected a SHA-256 of 64 digits, received ${describe(value)}.`);
}

function parseEdits(value: unknown): EditStep[] {
  if (!Array.isArray(value)) throw new RequestError(`edits: expected a list, received ${describe(value)}.`);
  if (value.length > MAX_EDITS) {
    throw new RequestError(`edits: expected at most ${MAX_EDITS}, received ${value.length}, which would all be drawn along.`);
  }
  return value.map((edit: unknown, i) => {
    const region = isObject(edit) ? edit['region'] : undefined;
    const isRow = (row: unknown): row is string => typeof row === 'string' && /^[0-9a-f]+$/.test(row);
    if (!isObject(edit) || !Array.isArray(region) || !region.every(isRow)) {
      throw new RequestError(
        `edits[${i}]: expected an object with graph and region, a list of rows of digits from 0 to f, received ${describe(edit)}.`,
      );
    }
    return { graph: parseSceneGraph(edit['graph']), region };
  });
}

const REMEDY = 'Take the record that @sgdiff/pipeline gave with the picture.';

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStrings(value: Record<string, unknown>): value is Record<string, string> {
  return Object.values(value).every((entry) => typeof entry === 'string');
}
