import '@sgdiff/test-kit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exponentialMoment, polynomialWeights } from './quadrature';

/** The integral from 0 to 1 by Simpson's rule on 20000 pieces: to rounding, for what is smooth. */
function simpson(f: (v: number) => number): number {
  const n = 20000;
  let sum = f(0) + f(1);
  for (let i = 1; i < n; i++) sum += f(i / n) * (i % 2 === 1 ? 4 : 2);
  return sum / (3 * n);
}

describe('polynomialWeights', () => {
  it('integrates every polynomial that the nodes determine', () => {
    const gaps = fc.array(fc.double({ min: 0.1, max: 3, noNaN: true }), { minLength: 0, maxLength: 3 });
    const coefficients = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(gaps, coefficients, (steps, all) => {
        const nodes = steps.reduce((list, gap) => [...list, list.at(-1)! - gap], [0]);
        const polynomial = all.slice(0, nodes.length);
        const at = (v: number) => polynomial.reduce((sum, c, m) => sum + c * v ** m, 0);
        const weights = polynomialWeights(nodes, [1, 1 / 2, 1 / 3, 1 / 4]);
        const got = weights.reduce((sum, weight, i) => sum + weight * at(nodes[i]!), 0);
        const want = polynomial.reduce((sum, c, m) => sum + c / (m + 1), 0);
        expect(Math.abs(got - want)).toBeLessThan(1e-8);
      }),
      { seed: 3 },
    );
  });

  it('on even steps are the weights of Adams and Bashforth', () => {
    const moments = [1, 1 / 2, 1 / 3, 1 / 4];
    expect(polynomialWeights([0], moments)).toEqual([1]);
    expect(polynomialWeights([0, -1], moments)).toBeAllClose([3 / 2, -1 / 2], { rtol: 1e-14 });
    expect(polynomialWeights([0, -1, -2], moments)).toBeAllClose([23 / 12, -16 / 12, 5 / 12], { rtol: 1e-14 });
    expect(polynomialWeights([0, -1, -2, -3], moments)).toBeAllClose([55 / 24, -59 / 24, 37 / 24, -9 / 24], {
      rtol: 1e-14,
    });
  });
});

describe('exponentialMoment', () => {
  it('is the integral that it says, for small, middling and large z of either sign', () => {
    for (const z of [0, 1e-9, -1e-3, 0.3, -0.99, 0.999, 1, -1, 1.001, 2.5, -7, 12]) {
      for (const k of [0, 1, 2, 3]) {
        const want = simpson((v) => v ** k * Math.exp(z * (1 - v)));
        expect(Math.abs(exponentialMoment(k, z) / want - 1)).toBeLessThan(1e-12);
      }
    }
  });
});
