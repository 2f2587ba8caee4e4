import { linear } from './linear';
import { mapNumbers, type Numbers, zeros } from './numbers';

export function silu(x: Numbers): Numbers {
  return mapNumbers(x, (value) => value / (1 + Math.exp(-value)));
}

/** `x Φ(x)`. */
export function gelu(x: Numbers): Numbers {
  return mapNumbers(x, (value) => (value * (1 + erf(value / Math.SQRT2))) / 2);
}

/** The first half of the product is the value, times gelu of the second half: `[..., I]` -> `[..., F]`. */
export function geglu(x: Numbers, weight: Numbers, bias?: Numbers): Numbers {
  const product = linear(x, weight, bias); // [..., 2 F]
  const hidden = weight.shape[1] / 2;
  const gates = gelu(product);
  const y = zeros(...x.shape.slice(0, -1), hidden);
  y.data.forEach((_, i) => {
    const row = Math.floor(i / hidden) * 2 * hidden;
    y.data[i] = product.data[row + (i % hidden)] * gates.data[row + hidden + (i % hidden)];
  });
  return y;
}

/** The error function, by `2 / sqrt(π) exp(-x²) Σ_n 2^n x^(2n + 1) / (2n + 1)!!`, which subtracts nothing. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
