// What multistep methods integrate: the polynomial through the values that they remember. All in float64.

/**
 * Weights of values known at `nodes`, for a functional (here: an integral) of the polynomial through them.
 *
 * @param nodes Where the values are known; all different.
 * @param moments The functional of 1, v, v^2, …: as many as there are nodes.
 */
export function polynomialWeights(nodes: readonly number[], moments: readonly number[]): number[] {
  return nodes.map((node, k) => {
    let basis = [1]; // coefficients, constant first, of the polynomial that is 1 at this node and 0 at the others
    for (const other of nodes.filter((_, j) => j !== k)) {
      const gap = node - other;
      basis = [...basis, 0].map((c, m) => ((m > 0 ? basis[m - 1]! : 0) - other * (m < basis.length ? c : 0)) / gap);
    }
    return basis.reduce((sum, c, m) => sum + c * moments[m]!, 0);
  });
}

/** The integral of v^k e^(z (1 - v)) over v from 0 to 1: k! phi_(k+1)(z) in the words of exponential integrators. */
export function exponentialMoment(k: number, z: number): number {
  if (Math.abs(z) >= 1) return k === 0 ? Math.expm1(z) / z : (k * exponentialMoment(k - 1, z) - 1) / z;
  // By its series where the recurrence would cancel.
  let [sum, term] = [0, 1 / (k + 1)];
  for (let j = k + 2; j < k + 20; j++) {
    sum += term;
    term *= z / j;
  }
  return sum;
}
