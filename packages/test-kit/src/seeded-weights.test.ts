import { expect, it } from 'vitest';
import { readGolden, seededTensors, seededUniform, seededWeights, setupBackend, type SeededEntry } from './index';

type Golden = {
  readonly uniform: Record<string, { bound: number; count: number; at: number[]; values: number[] }>;
  readonly weights: (SeededEntry & { values: number[] })[];
};
const golden = readGolden<Golden>(import.meta.url, '../fixtures/seeded.golden.json');

it.each(Object.entries(golden.uniform))('gives the very numbers of tools/golden/seeded.py: "%s"', (name, expected) => {
  const values = seededUniform(name, expected.count, expected.bound);
  expect(expected.at.map((i) => values[i])).toEqual(expected.values);
});

it.each(golden.weights)('makes the weight "$path" of the reference, bit by bit', (entry) => {
  const [[path, values] = []] = [...seededWeights([entry])];
  expect(path).toBe(entry.path);
  expect([...values!]).toEqual(entry.values);
});

it('is uniform in ±bound and differs from name to name', () => {
  const count = 100_000;
  const a = seededUniform('a', count, 2);
  const b = seededUniform('b', count, 2);
  const mean = (f: (i: number) => number): number =>
    Array.from({ length: count }, (_, i) => f(i)).reduce((x, y) => x + y) / count;
  // Standard errors: 2 / sqrt(3 · count) = 0.0037 for the mean, 0.0042 for the products.
  expect(Math.abs(mean((i) => a[i]!))).toBeLessThan(0.015);
  expect(Math.abs(mean((i) => a[i]! ** 2) - 4 / 3)).toBeLessThan(0.015);
  expect(Math.abs(mean((i) => a[i]! * a[(i + 1) % count]!))).toBeLessThan(0.017);
  expect(Math.abs(mean((i) => a[i]! * b[i]!))).toBeLessThan(0.017);
  expect(a.every((x) => x >= -2 && x <= 2)).toBe(true);
});

it('makes tensors of the same numbers', async () => {
  await setupBackend('cpu');
  const tensors = [...seededTensors(golden.weights)];
  expect(tensors.map(([path, { shape }]) => ({ path, shape }))).toEqual(
    golden.weights.map(({ path, shape }) => ({ path, shape })),
  );
  tensors.forEach(([, tensor], i) => {
    expect([...tensor.dataSync()]).toEqual(golden.weights[i]!.values);
    tensor.dispose();
  });
});
