// That no deterministic solver loses digits in float32, from the highest noise on: each against its textbook rule in 64 bits.
// States are of one Gaussian, [N, 2]; D(x, sigma) is its ideal denoiser, eps(x, sigma) the noise seen, lambda is -log(sigma).
import * as tf from '@tensorflow/tfjs-core';
import { setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createSchedule,
  initialNoise,
  karrasSigmas,
  perItemNoise,
  sampleDdim,
  sampleDeis,
  sampleDpm2,
  sampleDpmSolverPp2m,
  sampleDpmSolverPp2mSde,
  sampleDpmSolverPp2sAncestral,
  sampleDpmSolverPp3mSde,
  sampleEuler,
  sampleHeun,
  sampleLms,
  samplePlms,
  sampleUniPc,
  samplingSigmas,
  type Denoiser,
} from './index';
import { GAUSSIAN, gaussianDenoiser } from './testing/oracles';

type Vector = readonly number[];
type Sample = (denoiser: Denoiser<tf.Tensor2D>, xT: tf.Tensor2D, sigmas: Float64Array) => Promise<tf.Tensor2D>;
/** The state at `sigmas[i + 1]`, above 0; `x0s` and `epss` are what was seen at every level so far, oldest first. */
type Rule = (x: Vector, i: number, sigmas: Float64Array, x0s: readonly Vector[], epss: readonly Vector[]) => Vector;

const sum = (...terms: readonly (readonly [number, Vector])[]): Vector =>
  terms[0]![1].map((_, n) => terms.reduce((total, [weight, vector]) => total + weight * vector[n]!, 0));
const less = (a: Vector, b: Vector): Vector => sum([1, a], [-1, b]);

/** mean + C (C + sigma^2)^-1 (x - mean), by Cramer's rule. */
function D(x: Vector, sigma: number): Vector {
  const { mean, cov } = GAUSSIAN;
  const [a, b, d] = [cov[0] + sigma ** 2, cov[1], cov[2] + sigma ** 2];
  const [u, v] = [x[0]! - mean[0], x[1]! - mean[1]];
  const [p, q] = [(d * u - b * v) / (a * d - b * b), (a * v - b * u) / (a * d - b * b)];
  return [mean[0] + cov[0] * p + cov[1] * q, mean[1] + cov[1] * p + cov[2] * q];
}
const eps = (x: Vector, sigma: number): Vector => sum([1 / sigma, less(x, D(x, sigma))]);

/** The integral of f from a to b: 200 pieces of Gauss and Legendre's three points. */
function integral(f: (u: number) => number, a: number, b: number): number {
  const h = (b - a) / 200;
  let total = 0;
  for (let k = 0; k < 200; k++) {
    const middle = a + (k + 0.5) * h;
    const [side, away] = [5 / 18, (h / 2) * Math.sqrt(0.6)];
    total += h * (side * f(middle - away) + (4 / 9) * f(middle) + side * f(middle + away));
  }
  return total;
}

/** Lagrange's polynomial that is 1 at nodes[k] and 0 at the others. */
const lagrange = (nodes: Vector, k: number) => (u: number) =>
  nodes.reduce((product, node, j) => (j === k ? product : (product * (u - node)) / (nodes[k]! - node)), 1);

/** x plus the integral, from sigmas[i] to the next, of the polynomial in g(sigma) through the newest `order` eps. */
const adamsBashforth =
  (order: number, g: (sigma: number) => number): Rule =>
  (x, i, sigmas, _, epss) => {
    const known = epss.slice(-order);
    const nodes = known.map((_, j) => g(sigmas[i - known.length + 1 + j]!));
    const [top, end] = [sigmas[i]!, sigmas[i + 1]!];
    // Over u = log sigma, in which the integrand is smooth, unless the step ends at 0.
    const weight = (k: number) =>
      end > 0
        ? integral((u) => lagrange(nodes, k)(g(Math.exp(u))) * Math.exp(u), Math.log(top), Math.log(end))
        : integral((s) => lagrange(nodes, k)(g(s)), top, 0);
    return sum([1, x], ...known.map((seen, k) => [weight(k), seen] as const));
  };

const heun: Rule = (x, i, sigmas, _, epss) => {
  const h = sigmas[i + 1]! - sigmas[i]!;
  const ahead = sum([1, x], [h, epss.at(-1)!]);
  return sum([1, x], [h / 2, epss.at(-1)!], [h / 2, eps(ahead, sigmas[i + 1]!)]);
};
const WEIGHTS = [[], [], [1.5, -0.5], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]];

/** e^(-h) x + the integral of e^(-(h - u)) x0(u): x0 the polynomial in lambda through the newest `order` predictions. */
const exponential =
  (order: number): Rule =>
  (x, i, sigmas, x0s) => {
    const known = x0s.slice(-order);
    const lambda = (j: number) => -Math.log(sigmas[j]! / sigmas[i]!);
    const nodes = known.map((_, j) => lambda(i - known.length + 1 + j));
    const h = lambda(i + 1);
    const weight = (k: number) => integral((u) => Math.exp(u - h) * lagrange(nodes, k)(u), 0, h);
    return sum([Math.exp(-h), x], ...known.map((x0, k) => [weight(k), x0] as const));
  };

const twoM: Rule = (x, i, sigmas, x0s) => {
  const h = Math.log(sigmas[i]! / sigmas[i + 1]!);
  const [x0, before] = [x0s.at(-1)!, x0s.at(-2)];
  const r = before ? Math.log(sigmas[i - 1]! / sigmas[i]!) / h : 1;
  const D2 = before ? sum([1 + 1 / (2 * r), x0], [-1 / (2 * r), before]) : x0;
  return sum([sigmas[i + 1]! / sigmas[i]!, x], [-Math.expm1(-h), D2]);
};

/** One run: the rule down to the last step, which returns its prediction, unless the rule takes that step as well. */
function follow(rule: Rule, start: Vector, sigmas: Float64Array, toZero = false): Vector {
  let x = start;
  const [x0s, epss]: [Vector[], Vector[]] = [[], []];
  for (let i = 0; i + 1 < sigmas.length; i++) {
    x0s.push(D(x, sigmas[i]!));
    epss.push(eps(x, sigmas[i]!));
    x = sigmas[i + 1] === 0 && !(toZero && i > 0) ? x0s.at(-1)! : rule(x, i, sigmas, x0s, epss);
  }
  return x;
}

/** UniPC as its authors write it: R rho = b, with b_k = k! B(h)-scaled phi functions; B is e^h - 1 of h < 0 ('bh2'). */
function uniPc(order: number, start: Vector, sigmas: Float64Array): Vector {
  const last = sigmas.length - 1;
  /** The state at sigmas[i + 1] from the predictions up to that of level i, or one more with the corrector. */
  const step = (x: Vector, i: number, p: number, x0s: readonly Vector[], corrector: boolean): Vector => {
    const h = Math.log(sigmas[i]! / sigmas[i + 1]!);
    const rs = Array.from({ length: p - 1 }, (_, k) => -Math.log(sigmas[i - 1 - k]! / sigmas[i]!) / h);
    const D1s = rs.map((r, k) => sum([1 / r, less(x0s[i - 1 - k]!, x0s[i]!)]));
    if (corrector) {
      rs.push(1);
      D1s.push(less(x0s[i + 1]!, x0s[i]!));
    }
    const B = Math.expm1(-h);
    let [phi, factorial] = [B / -h - 1, 1];
    const b = rs.map((_, k) => {
      const value = (phi * factorial) / B;
      factorial *= k + 2;
      phi = phi / -h - 1 / factorial;
      return value;
    });
    // A predictor of order 2, and a corrector of order 1, take 1/2.
    const rho =
      rs.length === 1
        ? [0.5]
        : solve(
            rs.map((_, k) => rs.map((r) => r ** k)),
            b,
          );
    return sum([sigmas[i + 1]! / sigmas[i]!, x], [-B, x0s[i]!], ...D1s.map((D1, k) => [-B * rho[k]!, D1] as const));
  };
  const orderAt = (i: number) => Math.min(order, i + 1, last - i);
  const x0s: Vector[] = [];
  let [x, before] = [start, start];
  for (let i = 0; i < last; i++) {
    x0s.push(D(x, sigmas[i]!));
    if (i > 0) x = step(before, i - 1, orderAt(i - 1), x0s, true);
    before = x;
    x = sigmas[i + 1] === 0 ? x0s[i]! : step(x, i, orderAt(i), x0s, false);
  }
  return x;
}

/** Gauss's elimination, for systems of two or three. */
function solve(matrix: readonly Vector[], right: Vector): Vector {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  const n = rows.length;
  for (let c = 0; c < n; c++) {
    const pivot = rows.slice(c).reduce((best, row) => (Math.abs(row[c]!) > Math.abs(best[c]!) ? row : best));
    rows.splice(rows.indexOf(pivot), 1);
    rows.splice(c, 0, pivot);
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = row[c]! / pivot[c]!;
      for (let k = 0; k <= n; k++) row[k] = row[k]! - factor * pivot[k]!;
    }
  }
  return rows.map((row, i) => row[n]! / row[i]!);
}

const byRule =
  (rule: Rule, toZero = false) =>
  (start: Vector, sigmas: Float64Array) =>
    follow(rule, start, sigmas, toZero);
const lms = (order: 1 | 2 | 3 | 4): [string, Sample, (start: Vector, sigmas: Float64Array) => Vector] => [
  `LMS of order ${order}`,
  (d, x, s) => sampleLms(d, x, s, { order }),
  byRule(
    adamsBashforth(order, (sigma) => sigma),
    order > 1,
  ),
];

const SOLVERS: readonly [name: string, sample: Sample, reference: (start: Vector, sigmas: Float64Array) => Vector][] = [
  ['DDIM', sampleDdim, byRule((x, i, s, _, epss) => sum([1, x], [s[i + 1]! - s[i]!, epss.at(-1)!]))],
  ['Euler', sampleEuler, byRule((x, i, s, _, epss) => sum([1, x], [s[i + 1]! - s[i]!, epss.at(-1)!]))],
  ['Heun', sampleHeun, byRule(heun)],
  [
    'DPM2',
    sampleDpm2,
    byRule((x, i, s, _, epss) => {
      const middle = Math.sqrt(s[i]! * s[i + 1]!);
      const mid = sum([1, x], [middle - s[i]!, epss.at(-1)!]);
      return sum([1, x], [s[i + 1]! - s[i]!, eps(mid, middle)]);
    }),
  ],
  [
    'DPM-Solver++ 2S',
    (d, x, s) => sampleDpmSolverPp2sAncestral(d, x, s, { eta: 0 }),
    byRule((x, i, s, x0s) => {
      const middle = Math.sqrt(s[i]! * s[i + 1]!);
      const to = (level: number, x0: Vector) => sum([level / s[i]!, x], [1 - level / s[i]!, x0]);
      return to(s[i + 1]!, D(to(middle, x0s.at(-1)!), middle));
    }),
  ],
  [
    'PLMS',
    samplePlms,
    byRule((x, i, s, x0s, epss) => {
      if (i === 0) return heun(x, i, s, x0s, epss);
      const weights = WEIGHTS[Math.min(i + 1, 4)]!;
      const h = s[i + 1]! - s[i]!;
      return sum([1, x], ...weights.map((weight, back) => [h * weight, epss.at(-1 - back)!] as const));
    }, true),
  ],
  ...([1, 2, 3, 4] as const).map(lms),
  ...([1, 2, 3] as const).map((order): (typeof SOLVERS)[number] => [
    `DEIS of order ${order}`,
    (d, x, s) => sampleDeis(d, x, s, { order }),
    byRule(adamsBashforth(order, Math.log)),
  ]),
  ['DPM-Solver++ 2M', sampleDpmSolverPp2m, byRule(twoM)],
  ['DPM-Solver++ 2M SDE at eta 0', (d, x, s) => sampleDpmSolverPp2mSde(d, x, s, { eta: 0 }), byRule(twoM)],
  ['DPM-Solver++ 3M SDE at eta 0', (d, x, s) => sampleDpmSolverPp3mSde(d, x, s, { eta: 0 }), byRule(exponential(3))],
  ...([2, 3] as const).map((order): (typeof SOLVERS)[number] => [
    `UniPC of order ${order}`,
    (d, x, s) => sampleUniPc(d, x, s, { order }),
    (start, sigmas) => uniPc(order, start, sigmas),
  ]),
];

const SCHEDULES = [
  { name: 'the cosine schedule', schedule: createSchedule({ kind: 'cosine', timesteps: 1000 }) },
  {
    name: 'the cosine schedule of zero terminal SNR',
    schedule: createSchedule({ kind: 'cosine', timesteps: 1000, zeroTerminalSnr: true }),
  },
  {
    name: "SGDiff's schedule of zero terminal SNR",
    schedule: createSchedule({
      kind: 'sqrt-linear',
      timesteps: 1000,
      betaStart: 0.0015,
      betaEnd: 0.0195,
      zeroTerminalSnr: true,
    }),
  },
];

describe.each(SCHEDULES)('on $name, in float32', ({ schedule }) => {
  beforeAll(() => setupBackend('cpu'));
  const N = 16;
  const noise = perItemNoise(Array.from({ length: N }, (_, item) => item));

  it.each(SOLVERS)(
    '%s keeps its digits: within 1e-5 of its rule in 64 bits, in 3, 10 and 40 steps',
    async (name, sample, reference) => {
      for (const steps of [3, 10, 40]) {
        const lists = [samplingSigmas(schedule, steps)];
        // PLMS and DEIS remember eps, whose rounding a step far down from a level that is still high multiplies: 1e-4 there.
        if (!/^(PLMS|DEIS)/.test(name)) {
          lists.push(karrasSigmas(schedule.sigmas[0]!, schedule.sigmas.at(-1)!, steps));
        }
        for (const sigmas of lists) {
          const xT = initialNoise<tf.Rank.R2>(noise, [N, 2], sigmas);
          const y = await sample(gaussianDenoiser(GAUSSIAN), xT, sigmas);
          const [start, got] = [xT.dataSync(), y.dataSync()];
          let [error, size] = [0, 0];
          for (let n = 0; n < N; n++) {
            const want = reference([start[2 * n]!, start[2 * n + 1]!], sigmas);
            error += (got[2 * n]! - want[0]!) ** 2 + (got[2 * n + 1]! - want[1]!) ** 2;
            size += want[0]! ** 2 + want[1]! ** 2;
          }
          expect(Math.sqrt(error / size), `${steps} steps from sigma ${sigmas[0]}`).toBeLessThan(1e-5);
          tf.dispose([xT, y]);
        }
      }
    },
  );
});
