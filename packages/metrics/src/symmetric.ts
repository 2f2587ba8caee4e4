// Float64 linear algebra for covariances, on flat row-major arrays.
import { MetricsError } from './metrics-error';

/** `rank` rows of `size` values with `factor^T factor = matrix`. */
export type SemidefiniteFactor = { readonly factor: Float64Array; readonly rank: number };

/**
 * A matrix R with `R^T R = matrix` for a symmetric positive semi-definite matrix, by Cholesky with pivots. Rows stop at
 * the matrix's numerical rank, which makes singular covariances (fewer pictures than features) cheap instead of delicate.
 *
 * @param matrix `[size, size]`, row-major. Only symmetric input makes sense; it is checked.
 * @returns `[rank, size]`, in the original order of columns.
 * @throws MetricsError if the matrix is not symmetric or has a clearly negative direction.
 * @see Higham, "Analysis of the Cholesky decomposition of a semi-definite matrix", 1990.
 */
export function semidefiniteFactor(matrix: Float64Array, size: number, where: string): SemidefiniteFactor {
  const n = size;
  let largest = 0;
  for (let i = 0; i < n; i++) largest = Math.max(largest, Math.abs(matrix[i * n + i]));
  const tolerance = n * Number.EPSILON * largest;
  expectSymmetric(matrix, n, where);
  const rest = Float64Array.from({ length: n }, (_, i) => matrix[i * n + i]); // diagonal less the rows made so far
  const factor = new Float64Array(n * n);
  const done = new Uint8Array(n);
  let rank = 0;
  for (; rank < n; rank++) {
    let pivot = -1;
    for (let i = 0; i < n; i++) if (!done[i] && (pivot < 0 || rest[i] > rest[pivot])) pivot = i;
    if (!(rest[pivot] > tolerance)) break;
    const row = remainder(matrix, factor, rank, pivot, n);
    const value = Math.sqrt(rest[pivot]);
    for (let j = 0; j < n; j++) row[j] = done[j] ? 0 : row[j] / value;
    row[pivot] = value;
    factor.set(row, rank * n);
    done[pivot] = 1;
    for (let j = 0; j < n; j++) rest[j] -= row[j] * row[j];
  }
  // What is left of a semi-definite matrix is rounding. Generous, since covariances often come from float32 files.
  const slack = 1e-6 * largest + tolerance;
  for (let i = 0; i < n; i++) {
    if (done[i]) continue;
    const row = remainder(matrix, factor, rank, i, n);
    for (let j = 0; j < n; j++) {
      if (!done[j] && Math.abs(row[j]) > slack) {
        throw new MetricsError(
          `${where}: expected a positive semi-definite covariance, received one with a negative direction at row ${i}. ` +
            `Was it computed from features, and in float64?`,
        );
      }
    }
  }
  return { factor: factor.slice(0, rank * n), rank };
}

/** Row `at` of `matrix - factor^T factor`, with the first `rank` rows of the factor. */
function remainder(matrix: Float64Array, factor: Float64Array, rank: number, at: number, n: number): Float64Array {
  const row = matrix.slice(at * n, (at + 1) * n);
  let r = 0;
  for (; r + 3 < rank; r += 4) {
    const [i0, i1, i2, i3] = [r * n, (r + 1) * n, (r + 2) * n, (r + 3) * n];
    const [f0, f1, f2, f3] = [factor[i0 + at], factor[i1 + at], factor[i2 + at], factor[i3 + at]];
    for (let j = 0; j < n; j++)
      row[j] -= f0 * factor[i0 + j] + f1 * factor[i1 + j] + f2 * factor[i2 + j] + f3 * factor[i3 + j];
  }
  for (; r < rank; r++) addScaled(row, factor, -factor[r * n + at], 0, r * n, 0, n);
  return row;
}

/** `a b^T` for `a` `[rowsA, width]` and `b` `[rowsB, width]`: `[rowsA, rowsB]`. */
export function timesTransposed(
  a: Float64Array,
  b: Float64Array,
  rowsA: number,
  rowsB: number,
  width: number,
): Float64Array {
  const out = new Float64Array(rowsA * rowsB);
  const tile = 64; // rows of b that stay in the cache
  for (let j0 = 0; j0 < rowsB; j0 += tile) {
    const j1 = Math.min(j0 + tile, rowsB);
    for (let i = 0; i < rowsA; i++) {
      const at = i * width;
      let j = j0;
      for (; j + 3 < j1; j += 4) {
        const b0 = j * width;
        const b1 = b0 + width;
        const b2 = b1 + width;
        const b3 = b2 + width;
        let s0 = 0;
        let s1 = 0;
        let s2 = 0;
        let s3 = 0;
        for (let k = 0; k < width; k++) {
          const x = a[at + k];
          s0 += x * b[b0 + k];
          s1 += x * b[b1 + k];
          s2 += x * b[b2 + k];
          s3 += x * b[b3 + k];
        }
        out.set([s0, s1, s2, s3], i * rowsB + j);
      }
      for (; j < j1; j++) {
        let sum = 0;
        for (let k = 0; k < width; k++) sum += a[at + k] * b[j * width + k];
        out[i * rowsB + j] = sum;
      }
    }
  }
  return out;
}

/**
 * Singular values of any matrix, in descending order, each exact to about `eps` times the largest: Householder
 * bidiagonalisation, then the eigenvalues of the Golub-Kahan tridiagonal matrix `[[0, B^T], [B, 0]]`, reordered.
 *
 * @param matrix `[rows, columns]`, row-major. Not changed.
 * @see Golub and Van Loan, "Matrix Computations", 4th edition, sections 5.4.8 and 8.6.1.
 */
export function singularValues(matrix: Float64Array, rows: number, columns: number): Float64Array {
  if (rows < columns) return singularValues(transpose(matrix, rows, columns), columns, rows);
  const [m, n] = [rows, columns];
  const scale = largestMagnitude('singularValues', matrix);
  if (scale === 0) return new Float64Array(n);
  // Scaled, so that squares do not overflow; what is so small that its square would vanish is nothing beside the largest.
  const a = matrix.map((value) => (Math.abs(value / scale) < NOTHING ? 0 : value / scale));
  const entries = new Float64Array(Math.max(2 * n - 1, 0)); // d1, e1, d2, e2, ... of the bidiagonal matrix
  const left = new Float64Array(m);
  const products = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    // Reflect rows k.. so that column k is zero below the diagonal.
    for (let i = k; i < m; i++) left[i] = a[i * n + k];
    const { value, beta } = reflector(left, k, m);
    entries[2 * k] = value;
    if (k === n - 1) break;
    products.fill(0, k + 1);
    for (let i = k; i < m; i++) addScaled(products, a, left[i], 0, i * n, k + 1, n);
    addScaled(a, products, -beta * left[k], k * n, 0, k + 1, n);
    // Reflect columns k+1.. so that row k is zero beyond the superdiagonal; both in one pass over the rows below.
    const right = a.subarray(k * n, (k + 1) * n);
    const across = reflector(right, k + 1, n);
    entries[2 * k + 1] = across.value;
    for (let i = k + 1; i < m; i++) {
      const at = i * n;
      const down = beta * left[i];
      let dot = 0;
      for (let j = k + 1; j < n; j++) {
        const value = a[at + j] - down * products[j];
        a[at + j] = value;
        dot += value * right[j];
      }
      addScaled(a, right, -across.beta * dot, at, 0, k + 1, n);
    }
  }
  const eigenvalues = tridiagonalEigenvalues(new Float64Array(2 * n), entries);
  return eigenvalues
    .sort()
    .reverse()
    .slice(0, n)
    .map((value) => scale * Math.max(value, 0)); // the others are their negatives
}

/** Reflections of vectors of such numbers lose their digits: below 1e-308 there are none left. */
const NOTHING = 1e-150;

/** Off-diagonal values below this share of eps times the largest entry are zero: values that small have no digits left. */
const NEGLIGIBLE = 0.1;
const MOST_SWEEPS = 60;

/**
 * Eigenvalues of a symmetric tridiagonal matrix, unordered, by QL with implicit shifts.
 *
 * @param diagonal `[n]`
 * @param offDiagonal `[n - 1]`
 * @throws MetricsError if a value is not finite.
 * @see Bowdler, Martin, Reinsch, Wilkinson, "The QR and QL algorithms for symmetric matrices", 1968 (tql1).
 */
export function tridiagonalEigenvalues(diagonal: Float64Array, offDiagonal: Float64Array): Float64Array {
  const n = diagonal.length;
  const where = 'tridiagonalEigenvalues';
  const scale = Math.max(largestMagnitude(where, diagonal), largestMagnitude(where, offDiagonal));
  if (scale === 0) return new Float64Array(n);
  const d = diagonal.map((value) => value / scale);
  const e = new Float64Array(n);
  e.set(offDiagonal.map((value) => value / scale));
  for (let l = 0; l < n; l++) {
    for (let sweep = 0; ; sweep++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]) > Number.EPSILON * (Math.abs(d[m]) + Math.abs(d[m + 1]) + NEGLIGIBLE)) m++;
      if (m === l) break;
      if (sweep === MOST_SWEEPS) {
        throw new MetricsError(
          `${where}: expected convergence in ${MOST_SWEEPS} sweeps per value, received none for value ${l} of ${n}.`,
        );
      }
      let g = (d[l + 1] - d[l]) / (2 * e[l]);
      let r = Math.hypot(g, 1);
      g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
      let s = 1;
      let c = 1;
      let p = 0;
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * e[i];
        const b = c * e[i];
        r = Math.sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1] = d[i + 1] - p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
      }
      if (i >= l) continue; // the matrix fell apart; start again on the smaller one
      d[l] = d[l] - p;
      e[l] = g;
      e[m] = 0;
    }
  }
  return d.map((value) => value * scale);
}

/** Turns `x[from..to)` into v of the reflection `I - beta v v^T` that maps x to `[value, 0, ...]`. */
function reflector(x: Float64Array, from: number, to: number): { value: number; beta: number } {
  let scale = 0;
  for (let i = from; i < to; i++) scale = Math.max(scale, Math.abs(x[i]));
  if (scale === 0) return { value: 0, beta: 0 };
  let squares = 0;
  for (let i = from; i < to; i++) squares += (x[i] / scale) ** 2;
  const length = scale * Math.sqrt(squares);
  const value = x[from] > 0 ? -length : length;
  const first = x[from] - value;
  for (let i = from + 1; i < to; i++) x[i] = x[i] / first;
  x[from] = 1;
  return { value, beta: -first / value };
}

/** `y[yAt + j] += factor * x[xAt + j]` for j from `from` to `to`. */
function addScaled(
  y: Float64Array,
  x: Float64Array,
  factor: number,
  yAt: number,
  xAt: number,
  from: number,
  to: number,
): void {
  for (let j = from; j < to; j++) y[yAt + j] = y[yAt + j] + factor * x[xAt + j];
}

function transpose(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = matrix[i * columns + j];
  return out;
}

function largestMagnitude(where: string, values: Float64Array): number {
  let largest = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) throw new MetricsError(`${where}: expected finite values, received ${value}.`);
    largest = Math.max(largest, Math.abs(value));
  }
  return largest;
}

function expectSymmetric(matrix: Float64Array, n: number, where: string): void {
  const largest = largestMagnitude(where, matrix);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      if (Math.abs(matrix[i * n + j] - matrix[j * n + i]) > 1e-6 * largest) {
        throw new MetricsError(
          `${where}: expected a symmetric covariance, received ${matrix[i * n + j]} at [${i}, ${j}] and ${matrix[j * n + i]} at [${j}, ${i}].`,
        );
      }
    }
  }
}
