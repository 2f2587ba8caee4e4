import { loadPipeline, type Pipeline } from '@sgdiff/pipeline';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBackend, type BackendChoice } from '../backend';
import { modelSource } from '../model';
import { silentTerminal } from '../testing/silent-terminal';
import { evaluateWeights, weighted, type WeightRow } from './evaluate-weights';

const source = modelSource('picture-book');
const TIMEOUT = 120_000;

let backend: BackendChoice;
let pipeline: Pipeline;
beforeAll(async () => {
  await setupBackend('wasm');
  backend = await startBackend({ backend: 'wasm', threads: 1 });
  pipeline = await loadPipeline(source);
}, TIMEOUT);
afterAll(() => pipeline.dispose());

type Weights = Record<'objects' | 'relationships', readonly WeightRow[]>;

async function run(weights: readonly number[]): Promise<Weights> {
  const results: unknown[] = [];
  const terminal = { ...silentTerminal(), result: (result: unknown) => void results.push(result) };
  await evaluateWeights(source, pipeline, { count: 6, split: 'validation', seed: 0, steps: 5, weights }, backend, terminal);
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
