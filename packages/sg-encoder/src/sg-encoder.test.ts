import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createRng, disposeParams, restoreParams, toVariables, valueAndGrads } from '@sgdiff/nn';
import { createVocabulary, packGraphs, type SceneGraph } from '@sgdiff/sg-schema';
import { checkGradients, expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import {
  encodeSceneGraphs,
  initSgEncoder,
  pictureBookEncoderConfig,
  SgEncoderError,
  sgEncoderTensors,
  type SgEncoderConfig,
} from './index';
import { packTriples, type IndexedGraph } from '../fixtures/indexed-graphs';

const words = { objectCount: 6, predicateCount: 4 };
const small = { ...words, width: 4, layers: 2, hiddenWidth: 5, globalWidth: 3, maxTriples: 12 };
const forms: [string, SgEncoderConfig][] = [
  ['published form', small],
  ['normalised residual form', { ...small, norm: 'layer', residual: true }],
  ['normalised form', { ...small, norm: 'layer' }],
  ['residual form', { ...small, residual: true }],
];

/** A graph as `packGraphs` makes it: relations first, then one `__in_image__` triple per object. */
const indexedGraph: fc.Arbitrary<IndexedGraph> = fc
  .array(fc.integer({ min: 1, max: words.objectCount - 1 }), { minLength: 1, maxLength: 4 })
  .chain((objects) => {
    const place = fc.integer({ min: 0, max: objects.length - 1 });
    const relation = fc.tuple(place, fc.integer({ min: 1, max: words.predicateCount - 1 }), place);
    return fc.array(relation, { maxLength: 4 }).map((relations) => ({
      objects: [...objects, 0],
      triples: [...relations, ...objects.map((_, i) => [i, 0, objects.length] as const)],
    }));
  });

async function numbers(config: SgEncoderConfig, packed: ReturnType<typeof packTriples>, seed = 7) {
  const params = initSgEncoder(config, createRng(seed));
  const { local, mask, global } = encodeSceneGraphs(params, config, packed);
  const result = { local: await local.array(), mask: await mask.array(), global: await global.array() };
  tf.dispose([local, mask, global]);
  disposeParams(params);
  return result;
}

type Packed = { readonly shape: number[]; readonly data: number[] };

describe.each(['cpu', 'wasm'] as const)('encodeSceneGraphs on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('agrees with PyTorch in the published form, with a graph that has a triple too many', () => {
    const golden = readGolden<{
      config: SgEncoderConfig;
      weights: Record<string, Packed>;
      graphs: IndexedGraph[];
      local: Packed;
      global: Packed;
    }>(import.meta.url, '../fixtures/encoder.golden.json');
    tf.tidy(() => {
      const params = restoreParams(
        initSgEncoder(golden.config, createRng(0)),
        Object.fromEntries(
          Object.entries(golden.weights).map(([path, { data, shape }]) => [path, tf.tensor(data, shape)]),
        ),
      );
      const y = encodeSceneGraphs(params, golden.config, packTriples(golden.graphs));
      const expected = (x: Packed): tf.Tensor => tf.tensor(x.data, x.shape);
      // float32 against float64, three layers.
      expect(y.local).toBeAllClose(expected(golden.local), { rtol: 1e-5, atol: 1e-6 });
      expect(y.global).toBeAllClose(expected(golden.global), { rtol: 1e-5, atol: 1e-6 });
      expect(y.mask).toBeAllClose([[1, 1, 1, 0], [1, 1, 1, 1]]); // prettier-ignore
    });
  });

  it('gives every weight a gradient, nowhere zero but in the spare embedding row', async () => {
    const config = { ...small, width: 8, hiddenWidth: 16, norm: 'layer', residual: true } as const;
    const start = initSgEncoder(config, createRng(3));
    const params = toVariables(start);
    const packed = packTriples([
      { objects: [1, 2, 3, 0], triples: [[0, 1, 1], [1, 2, 2], [0, 0, 3], [1, 0, 3], [2, 0, 3]] }, // prettier-ignore
      { objects: [4, 5, 0], triples: [[0, 3, 1], [0, 0, 2], [1, 0, 2]] }, // prettier-ignore
    ]);
    const { value, grads } = valueAndGrads(() => {
      const { local, global } = encodeSceneGraphs(params, config, packed);
      const mixed = (x: tf.Tensor): tf.Tensor => tf.mul(x, tf.sin(tf.reshape(tf.range(0, x.size), x.shape)));
      return tf.add(tf.sum(mixed(local)), tf.sum(mixed(global))) as tf.Scalar;
    }, params);
    for (const [path, grad] of Object.entries(grads)) {
      const largest = Math.max(...(await grad.data()).map(Math.abs));
      expect(largest, path).toBeGreaterThan(1e-6);
      expect(Number.isFinite(largest), path).toBe(true);
    }
    const rows = (await grads['objectEmbedding.weight']!.array()) as number[][];
    const silent = rows.flatMap((row, i) => (row.every((x) => x === 0) ? [i] : []));
    expect(silent).toEqual([6]); // the spare row of the published table
    tf.dispose([value, ...Object.values(grads)]);
    disposeParams(params);
    disposeParams(start);
  });
});

describe.each(forms)('encodeSceneGraphs, %s', (_, config) => {
  beforeAll(() => setupBackend('cpu'));

  it('is not changed by padding, whatever the padding holds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(indexedGraph, { minLength: 1, maxLength: 3 }),
        fc.nat(3),
        fc.nat(3),
        async (graphs, o, t) => {
          const tight = packTriples(graphs);
          const padded = packTriples(graphs, {
            objectSlots: tight.objectSlots + o,
            tripleSlots: tight.tripleSlots + t,
            filler: 2,
          });
          const [a, b] = [await numbers(config, tight), await numbers(config, padded)];
          // Sums run over more (zero) terms: equal but for rounding.
          expect(b.global).toBeAllClose(a.global, { rtol: 1e-5, atol: 1e-6 });
          const real = b.local.map((rows) => rows.slice(0, tight.tripleSlots));
          expect(real).toBeAllClose(a.local, { rtol: 1e-5, atol: 1e-6 });
          expect(b.local.flatMap((rows) => rows.slice(tight.tripleSlots)).flat().every((x) => x === 0)).toBe(true); // prettier-ignore
        },
      ),
      { numRuns: 8 },
    );
  });

  it('reorders its tokens with the triples and keeps the global vector when objects and triples are reordered', async () => {
    await fc.assert(
      fc.asyncProperty(indexedGraph, fc.nat(), async (graph, seed) => {
        const rng = createRng('order', seed);
        const objectOrder = rng.shuffle(graph.objects.map((__, i) => i));
        const tripleOrder = rng.shuffle(graph.triples.map((__, i) => i));
        const moved: IndexedGraph = {
          objects: objectOrder.map((i) => graph.objects[i]!),
          triples: tripleOrder.map((i) => {
            const [s, p, o] = graph.triples[i]!;
            return [objectOrder.indexOf(s), p, objectOrder.indexOf(o)] as const;
          }),
        };
        const [a, b] = [await numbers(config, packTriples([graph])), await numbers(config, packTriples([moved]))];
        expect(b.global).toBeAllClose(a.global, { rtol: 1e-4, atol: 1e-5 }); // sums in another order
        expect(b.local[0]!).toBeAllClose(
          tripleOrder.map((i) => a.local[0]![i]!),
          { rtol: 1e-4, atol: 1e-5 },
        );
      }),
      { numRuns: 8 },
    );
  });

  it('encodes each graph as if it were alone in the batch', async () => {
    const graphs: IndexedGraph[] = [
      { objects: [1, 2, 0], triples: [[0, 1, 1], [0, 0, 2], [1, 0, 2]] }, // prettier-ignore
      { objects: [3, 0], triples: [[0, 0, 1]] },
    ];
    const together = await numbers(config, packTriples(graphs));
    for (const [b, graph] of graphs.entries()) {
      const alone = await numbers(config, packTriples([graph]));
      expect(together.global[b]!).toBeAllClose(alone.global[0]!, { rtol: 1e-5, atol: 1e-6 });
      expect(together.local[b]!.slice(0, graph.triples.length)).toBeAllClose(alone.local[0]!, {
        rtol: 1e-5,
        atol: 1e-6,
      });
    }
  });
});

describe('encodeSceneGraphs', () => {
  beforeAll(() => setupBackend('cpu'));

  const packed = packTriples([{ objects: [1, 2, 0], triples: [[0, 1, 1], [0, 0, 2], [1, 0, 2]] }]); // prettier-ignore

  it('confirms its gradient by finite differences', async () => {
    const config: SgEncoderConfig = { ...small, norm: 'layer', residual: true };
    const params = initSgEncoder(config, createRng(5));
    await checkGradients(
      (table) => {
        const y = encodeSceneGraphs({ ...params, objectEmbedding: { weight: table as tf.Tensor2D } }, config, packed);
        return tf.concat([tf.reshape(y.local, [-1]), tf.reshape(y.global, [-1])]);
      },
      [params.objectEmbedding.weight],
    );
    disposeParams(params);
  });

  it('takes what packGraphs makes, and tells a relation from its reverse', async () => {
    const vocabulary = createVocabulary(['__image__', 'sky', 'grass', 'sheep'], ['__in_image__', 'above', 'below']);
    const config = pictureBookEncoderConfig({ objectCount: 4, predicateCount: 3 });
    const graph: SceneGraph = { objects: ['sky', 'sheep'], relationships: [[0, 'above', 1]] };
    const reversed: SceneGraph = { objects: ['sky', 'sheep'], relationships: [[1, 'above', 0]] };
    const batch = packGraphs([graph, reversed, graph], vocabulary, { maxTriples: config.maxTriples });
    const { local, mask, global } = await numbers(config, batch);
    expect([local.length, local[0]!.length, local[0]![0]!.length]).toEqual([3, 3, 288]);
    expect(mask).toEqual([[1, 1, 1], [1, 1, 1], [1, 1, 1]]); // prettier-ignore
    expect(global[2]!).toBeAllClose(global[0]!, { rtol: 0, atol: 0 });
    expect(Math.hypot(...global[0]!.map((x, i) => x - global[1]![i]!))).toBeGreaterThan(0.01);
  });

  it('starts with tokens of about unit size in the normalised form', async () => {
    const config = { ...pictureBookEncoderConfig(words), width: 32, hiddenWidth: 64 };
    const { local } = await numbers(config, packed);
    const values = local[0]!.flat();
    const deviation = Math.hypot(...values) / Math.sqrt(values.length);
    expect(deviation).toBeGreaterThan(0.9);
    expect(deviation).toBeLessThan(1.1);
  });

  it('draws the same weights for the same seed, and others for another', async () => {
    const [a, b, c] = [
      await numbers(small, packed, 1),
      await numbers(small, packed, 1),
      await numbers(small, packed, 2),
    ];
    expect(b).toEqual(a);
    expect(c.global).not.toEqual(a.global);
  });

  it('keeps the first maxTriples as local tokens with overflow first, while all of them reach the global vector', async () => {
    const config: SgEncoderConfig = { ...small, maxTriples: 2 };
    const all = await numbers(small, packed);
    const first = await numbers({ ...config, overflow: 'first' }, packed);
    expect(first.local[0]!).toBeAllClose(all.local[0]!.slice(0, 2), { rtol: 0, atol: 0 });
    expect(first.mask).toEqual([[1, 1]]);
    expect(first.global).toEqual(all.global);
  });

  it('leaves no tensor behind, on success and on failure', async () => {
    for (const config of [small, { ...small, norm: 'layer', residual: true } as const]) {
      const params = initSgEncoder(config, createRng(1));
      await expectNoLeak(() => encodeSceneGraphs(params, config, packed));
      await expectNoLeak(() => encodeSceneGraphs(params, { ...config, maxTriples: 1 }, packed), {
        throws:
          'encodeSceneGraphs: graph 0 has 3 triples (its __in_image__ triples included), but the encoder takes 1.',
      });
      await expectNoLeak(() => encodeSceneGraphs(params, { ...config, objectCount: 2 }, packed), {
        throws: 'encodeSceneGraphs: graph 0 has object word 2, but the encoder knows words 0 to 1.',
      });
      disposeParams(params);
    }
  });

  it('refuses more triples than maxTriples and names the graph', () => {
    const run = (): unknown => encodeSceneGraphs(undefined as never, { ...small, maxTriples: 2 }, packed);
    expect(run).toThrow(SgEncoderError);
    expect(run).toThrow(
      'encodeSceneGraphs: graph 0 has 3 triples (its __in_image__ triples included), but the encoder takes 2. ' +
        "Remove relations or objects, pack with maxTriples 2, or set overflow 'first'.",
    );
  });

  it('refuses words that its tables lack', () => {
    expect(() => encodeSceneGraphs(undefined as never, { ...small, objectCount: 2 }, packed)).toThrow(
      'encodeSceneGraphs: graph 0 has object word 2, but the encoder knows words 0 to 1. ' +
        'Pack with the vocabulary the encoder was trained with.',
    );
    expect(() => encodeSceneGraphs(undefined as never, { ...small, predicateCount: 1 }, packed)).toThrow(
      'encodeSceneGraphs: graph 0 has predicate word 1, but the encoder knows words 0 to 0. ' +
        'Pack with the vocabulary the encoder was trained with.',
    );
  });

  it('refuses sizes that are not whole numbers of at least 1', () => {
    for (const use of [initSgEncoder, sgEncoderTensors]) {
      expect(() => use({ ...small, width: 0 }, createRng(1))).toThrow(
        'SgEncoderConfig: expected width to be a whole number of at least 1, received 0.',
      );
    }
  });
});
