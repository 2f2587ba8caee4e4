import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { createRng, disposeParams, restoreParams } from '@sgdiff/nn';
import { checkGradients, expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import { graphLayer, initGraphLayer } from './graph-layer';
import { createIncidence, incidenceProduct, type Incidence } from './incidence';
import { packTriples } from '../fixtures/indexed-graphs';

type Packed = { readonly shape: [number, number]; readonly data: number[] };
type LayerGolden = {
  config: { width: number; hiddenWidth: number };
  weights: Record<string, Packed>;
  edges: [number, number][];
} & Record<
  | 'nodes'
  | 'predicates'
  | 'newNodes'
  | 'newPredicates'
  | 'probeNodes'
  | 'probePredicates'
  | 'gradNodes'
  | 'gradPredicates',
  Packed
>;

describe.each(['cpu', 'wasm'] as const)('graphLayer on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('agrees with PyTorch in values and gradients, also for a node without triples', async () => {
    const golden = readGolden<LayerGolden>(import.meta.url, '../fixtures/graph-layer.golden.json');
    const { width, hiddenWidth } = golden.config;
    const one = (x: Packed): tf.Tensor3D => tf.tensor3d(x.data, [1, ...x.shape]);
    const layer = restoreParams(
      initGraphLayer(width, hiddenWidth, createRng(0)),
      Object.fromEntries(
        Object.entries(golden.weights).map(([path, { data, shape }]) => [path, tf.tensor(data, shape)]),
      ),
    );
    const incidence = createIncidence(
      packTriples([{ objects: [1, 1, 1, 1], triples: golden.edges.map(([s, o]) => [s, 0, o]) }]),
    );
    const run = (nodes: tf.Tensor, predicates: tf.Tensor): ReturnType<typeof graphLayer> =>
      graphLayer(layer, nodes as tf.Tensor3D, predicates as tf.Tensor3D, incidence, { finalRelu: true });

    // float32 against float64.
    const tolerance = { rtol: 1e-5, atol: 1e-5 };
    const y = run(one(golden.nodes), one(golden.predicates));
    expect(y.nodes).toBeAllClose(one(golden.newNodes), tolerance);
    expect(y.predicates).toBeAllClose(one(golden.newPredicates), tolerance);
    const [gradNodes, gradPredicates] = tf.grads((nodes, predicates) => {
      const out = run(nodes, predicates);
      return tf.add(
        tf.sum(tf.mul(out.nodes, one(golden.probeNodes))),
        tf.sum(tf.mul(out.predicates, one(golden.probePredicates))),
      );
    })([one(golden.nodes), one(golden.predicates)]);
    expect(gradNodes).toBeAllClose(one(golden.gradNodes), tolerance);
    expect(gradPredicates).toBeAllClose(one(golden.gradPredicates), tolerance);
  });
});

describe('graphLayer', () => {
  beforeAll(() => setupBackend('cpu'));

  it('gives a node without triples the same vector whatever its own features are', () => {
    tf.tidy(() => {
      const layer = initGraphLayer(3, 4, createRng(1));
      const incidence = createIncidence(packTriples([{ objects: [1, 1, 1], triples: [[0, 0, 1]] }]));
      const predicates = tf.ones<tf.Rank.R3>([1, 1, 3]);
      const alone = [1, 5].map((x) => {
        const nodes = tf.tensor3d([1, 2, 3, 4, 5, 6, x, x, x], [1, 3, 3]);
        const y = graphLayer(layer, nodes, predicates, incidence, { finalRelu: true });
        return tf.slice(y.nodes, [0, 2, 0], [1, 1, 3]);
      });
      expect(alone[0]!).toBeAllClose(alone[1]!, { rtol: 0, atol: 0 });
    });
  });

  it('leaves no tensor behind', async () => {
    const layer = initGraphLayer(3, 4, createRng(1));
    const incidence = createIncidence(packTriples([{ objects: [1, 2], triples: [[0, 0, 1]] }]));
    const [nodes, predicates] = [tf.ones<tf.Rank.R3>([1, 2, 3]), tf.ones<tf.Rank.R3>([1, 1, 3])];
    await expectNoLeak(() => graphLayer(layer, nodes, predicates, incidence, { finalRelu: true }));
    disposeParams(layer);
    tf.dispose([...Object.values(incidence as Incidence), nodes, predicates]);
  });
});

describe('incidence matrices', () => {
  beforeAll(() => setupBackend('cpu'));

  it('average over all places of a node, and leave padding out', () => {
    const packed = packTriples([
      { objects: [1, 2, 0], triples: [[0, 1, 1], [0, 0, 2]] }, // prettier-ignore
      { objects: [1, 0], triples: [[0, 0, 1]] },
    ]);
    const { subject, object, pool } = createIncidence(packed);
    expect(subject).toBeAllClose([[[1, 0, 0], [1, 0, 0]], [[1, 0, 0], [0, 0, 0]]]); // prettier-ignore
    expect(object).toBeAllClose([[[0, 1, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 0]]]); // prettier-ignore
    expect(pool).toBeAllClose([
      [[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], // prettier-ignore
      [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], // prettier-ignore
    ]);
    tf.dispose([subject, object, pool]);
  });

  it('multiply with a gradient that finite differences confirm', async () => {
    const matrix = tf.tensor3d([1, 0, 2, 0, 1, 1, 0.5, 0, 0, 3, 0, 1], [2, 3, 2]);
    const x = tf.tensor3d([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]);
    await checkGradients((input) => incidenceProduct(matrix, input as tf.Tensor3D), [x]);
    tf.dispose([matrix, x]);
  });
});
