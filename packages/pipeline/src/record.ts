import { parseSceneGraph, type SceneGraph } from '@sgdiff/sg-schema';
import { RequestError } from './errors';
import { requireSampler, type SamplerName } from './samplers';

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
  readonly steps: number;
  readonly guidanceScale: number;
  readonly eta: number;
  /** The picture is equal to the byte on the same backend, and close on others. */
  readonly backend: string;
  readonly versions: Readonly<Record<string, string>>;
};

/**
 * Checks a record read from a picture or a file.
 *
 * @throws RequestError if something it needs is missing or of the wrong kind; SceneGraphError for its graph.
 */
export function parseRecord(value: unknown): RequestRecord {
  if (typeof value !== 'object' || value === null) throw new RequestError('The request record is not an object.');
  const record = value as Record<string, unknown>;
  if (record['format'] !== 1) {
    throw new RequestError(`The request record has format ${JSON.stringify(record['format'])}, expected 1.`);
  }
  for (const key of ['seed', 'steps', 'guidanceScale', 'eta']) {
    if (typeof record[key] !== 'number') {
      throw new RequestError(`The request record's "${key}" is ${JSON.stringify(record[key])}, expected a number.`);
    }
  }
  const model = record['model'] as Record<string, unknown> | undefined;
  if (typeof model?.['name'] !== 'string' || typeof model['sha256'] !== 'string') {
    throw new RequestError('The request record names no model: expected model.name and model.sha256.');
  }
  requireSampler(String(record['sampler']));
  return { ...(record as unknown as RequestRecord), graph: parseSceneGraph(record['graph']) };
}
