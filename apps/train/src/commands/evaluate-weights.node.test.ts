import { expectNoLeak } from '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { useShippedModel } from '../testing/shipped-model';
import { silentTerminal } from '../testing/silent-terminal';
import { evaluateWeights, weighted, type WeightRow } from './evaluate-weights';

const shipped = useShippedModel();
const TIMEOUT = 120_000;

type Weights = Record<'objects' | 'relationships', readonly WeightRow[]>;

async function run(weights: readonly number[]): Promise<Weights> {
  const results: unknown[] = [];
  const terminal = { ...silentTerminal(), result: (result: unknown) => void results.push(result) };
  await evaluateWeights(shipped.source, shipped.pipeline, { count: 6, split: 'validation', seed: 0, steps: 5, weights }, shipped.backend, terminal);
  return (results[0] as { weights: Weights }).weights;
}

describe('evaluateWeights', () => {
  it(
    'compares the weights on the same graphs, and leaves no tensor behind',
    async () => {
      let first: Weights | undefined;
      await expectNoLeak(async () => {
        first = await run([0, 1]);
      });
      const { objects, relationships } = first!;
      expect(objects.map(({ weight }) => weight)).toEqual([0, 1]);
      expect(objects[0].found).toBeLessThan(objects[1].found); // weight 0 hides a thing
      expect(objects[0].others).toBeGreaterThan(0.5);
      for (const { found, others } of [...objects, ...relationships]) for (const share of [found, others]) expect(share >= 0 && share <= 1).toBe(true);
      const [again] = (await run([1])).relationships;
      expect(again).toEqual(relationships[1]); // a row does not depend on the others
    },
    TIMEOUT,
  );
});

describe('weighted', () => {
  it('gives one object or one relation the weight, and leaves the graph without one as it is', () => {
    const graph = { objects: ['sky', 'sheep'], relationships: [[0, 'above', 1]] } as const;
    expect(weighted(graph, 'objects', 1, 4)).toEqual({ ...graph, weights: [1, 4] });
    expect(weighted(graph, 'relationships', 0, 0.5)).toEqual({ ...graph, relationshipWeights: [0.5] });
    expect(weighted(graph, 'objects', undefined, 4)).toBe(graph);
  });
});
