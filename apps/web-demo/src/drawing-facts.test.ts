import type { SceneGraph } from '@sgdiff/sg-schema';
import { describe, expect, it } from 'vitest';
import { drawingFacts } from './drawing-facts';
import type { DrawResult } from './protocol';

const graph: SceneGraph = {
  objects: ['sheep', 'grass'],
  relationships: [
    [0, 'standing on', 1],
    [1, 'behind', 0],
  ],
};
const record = { backend: 'wasm', seed: 11, steps: 4, guidanceScale: 2 } as DrawResult['record'];
const result = { seconds: 1.26, record, withoutToken: [] };

describe('drawingFacts', () => {
  it('says how long it took, on what, and with which settings', () => {
    expect(drawingFacts(result, { graph, threads: 2 }).map(({ text }) => text)).toEqual([
      '1.3 s',
      'wasm, 2 threads',
      'seed 11',
      '4 steps',
      'guidance 2',
    ]);
    const plain = { ...result, record: { ...record, steps: 1, guidanceScale: 1 } };
    expect(drawingFacts(plain, { graph, threads: 1 }).map(({ text }) => text)).toEqual([
      '1.3 s',
      'wasm',
      'seed 11',
      '1 step',
      'no guidance',
    ]);
  });

  it('counts the relations that got no token, and names them in the title', () => {
    const last = (withoutToken: DrawResult['withoutToken']): unknown =>
      drawingFacts({ ...result, withoutToken }, { graph, threads: 1 }).at(-1);
    expect(last([[1, 'behind', 0]])).toEqual({
      text: '1 relation without a token of its own',
      title: 'The model has fewer tokens than the graph has relations: grass behind sheep.',
    });
    expect(
      last([
        [1, 'behind', 0],
        [1, '__in_image__', 2],
      ]),
    ).toEqual({
      text: '2 relations without a token of their own',
      title:
        'The model has fewer tokens than the graph has relations: grass behind sheep, grass __in_image__ __image__.',
    });
  });
});
