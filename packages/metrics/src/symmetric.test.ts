import { readGolden } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { semidefiniteFactor, singularValues, timesTransposed, tridiagonalEigenvalues } from './symmetric';

type Packed = { shape: number[]; data: number[] };
type Golden = {
  matrices: { matrix: Packed; singularValues: Packed }[];
  tridiagonal: { diagonal: Packed; offDiagonal: Packed; eigenvalues: Packed };
};

const golden = readGolden<Golden>(import.meta.url, '../fixtures/linear-algebra.golden.json');

/** A matrix of random rows; products `m^T m` are semi-definite, singular when it has fewer rows than columns. */
const anyMatrix = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 })).chain(([r, c]) =>
  fc
    .array(fc.oneof(fc.constant(0), fc.double({ min: -100, max: 100, noNaN: true })), {
      minLength: r * c,
      maxLength: r * c,
    })
    .map((values) => ({ rows: r, columns: c, data: Float64Array.from(values) })),
);

function gram({ rows, columns, data }: { rows: number; columns: number; data: Float64Array }): Float64Array {
  const out = new Float64Array(columns * columns);
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j < columns; j++)
      for (let k = 0; k < rows; k++) out[i * columns + j] += data[k * columns + i] * data[k * columns + j];
  }
  return out;
}

describe('singularValues', () => {
  it.each(golden.matrices)('agrees with scipy for a $matrix.shape matrix', ({ matrix, singularValues: expected }) => {
    const [rows, columns] = matrix.shape;
    expect(singularValues(Float64Array.from(matrix.data), rows, columns)).toBeAllClose(expected.data, {
      rtol: 1e-13,
      atol: 1e-14,
    });
  });

  it('keeps the sum of squares, whatever the shape and rank', () => {
    fc.assert(
      fc.property(anyMatrix, ({ rows, columns, data }) => {
        const values = singularValues(data, rows, columns);
        const squares = data.reduce((sum, x) => sum + x * x, 0);
        expect(values.length).toBe(Math.min(rows, columns));
        expect(values.reduce((sum, x) => sum + x * x, 0)).toBeAllClose(squares, { rtol: 1e-12, atol: 1e-200 });
      }),
    );
  });

  it('regression: loses no digits beside numbers too small to have any', () => {
    const data = new Float64Array(24);
    data.set([5e-324, 0, -5e-324], 3);
    data[12] = 2.5677851951642403e-12;
    expect(singularValues(data, 4, 6)).toBeAllClose([data[12], 0, 0, 0], { rtol: 1e-15, atol: 0 });
  });
});

describe('tridiagonalEigenvalues', () => {
  it('agrees with scipy', () => {
    const { diagonal, offDiagonal, eigenvalues } = golden.tridiagonal;
    const values = tridiagonalEigenvalues(Float64Array.from(diagonal.data), Float64Array.from(offDiagonal.data));
    expect(values.sort()).toBeAllClose(eigenvalues.data, { rtol: 1e-13, atol: 1e-14 });
  });

  it('refuses values that are not finite instead of turning for ever', () => {
    expect(() => tridiagonalEigenvalues(Float64Array.of(1, 2), Float64Array.of(NaN))).toThrow(
      'tridiagonalEigenvalues: expected finite values, received NaN.',
    );
    expect(() => singularValues(Float64Array.of(1, Infinity), 1, 2)).toThrow(
      'singularValues: expected finite values, received Infinity.',
    );
  });
});

describe('semidefiniteFactor', () => {
  it('gives back the matrix, with as many rows as its rank', () => {
    fc.assert(
      fc.property(anyMatrix, (m) => {
        const matrix = gram(m);
        const { factor, rank } = semidefiniteFactor(matrix, m.columns, 'test');
        const largest = Math.max(...matrix.map(Math.abs));
        expect(rank).toBeLessThanOrEqual(Math.min(m.rows, m.columns));
        expect(gram({ rows: rank, columns: m.columns, data: factor })).toBeAllClose(matrix, {
          rtol: 1e-12,
          atol: 1e-13 * largest,
        });
      }),
    );
  });
});

describe('timesTransposed', () => {
  it('multiplies, also where the tiles and groups of four do not fit', () => {
    const a = Float64Array.of(1, 2, 3, 4);
    const b = Float64Array.from({ length: 10 }, (_, i) => i); // 5 rows of 2
    expect(timesTransposed(a, b, 2, 5, 2)).toBeAllClose([2, 8, 14, 20, 26, 4, 18, 32, 46, 60]);
  });
});
