import * as tf from '@tensorflow/tfjs-core';
import { disposeParams, treeFromPaths } from '@sgdiff/nn';
import { readGolden, seededTensors, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { packTriples, type IndexedGraph } from '../fixtures/indexed-graphs';
import { encodeSceneGraphs, publishedSgEncoderConfig, sgEncoderTensors, type SgEncoderParams } from './index';

type Golden = {
  readonly graphs: Record<string, IndexedGraph>;
  /** Every so manyth number of the local tokens stands in `local`. */
  readonly localStep: number;
  readonly local: number[];
  readonly localLargest: number;
  readonly global: number[];
};

const golden = readGolden<Golden>(import.meta.url, '../fixtures/full.golden.json');
const graphs = Object.values(golden.graphs);
const config = publishedSgEncoderConfig({ objectCount: 179, predicateCount: 46 });

describe.each(['cpu', 'wasm'] as const)('the published encoder in full size on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('agrees with PyTorch on graphs with too many triples, none but __in_image__, loose nodes and loops', async () => {
    const params = seededEncoder();
    const { local, mask, global } = encodeSceneGraphs(params, config, packTriples(graphs));
    const tokens = await local.data();
    const sampled = golden.local.map((_, i) => tokens[i * golden.localStep]!);
    const largest = Math.max(...golden.global.map(Math.abs));
    // float32 against float64: 1e-4 of the largest.
    expect(sampled).toBeAllClose(golden.local, { rtol: 0, atol: 1e-4 * golden.localLargest });
    expect(await global.data()).toBeAllClose(golden.global, { rtol: 0, atol: 1e-4 * largest });
    expect(local.shape).toEqual([graphs.length, 15, 1536]);
    expect(await tf.sum(mask, 1).array()).toEqual(graphs.map(({ triples }) => Math.min(15, triples.length)));
    tf.dispose([local, mask, global]);
    disposeParams(params);
  });
});

/** Half the fan-in, as in the reference: a ReLU halves the power of what it lets through. */
function seededEncoder(): SgEncoderParams {
  const entries = sgEncoderTensors(config).map(({ path, shape }) => ({ path, shape, fanIn: shape[0]! / 2 }));
  return treeFromPaths<SgEncoderParams>(seededTensors(entries));
}
