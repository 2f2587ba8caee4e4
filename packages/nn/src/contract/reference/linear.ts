// Shapes: N rows, I input width, O output width.
import { type Numbers, zeros } from './numbers';

/** `y[n, o] = bias[o] + Σ_i x[n, i] weight[i, o]`, `[..., I]` -> `[..., O]`. */
export function linear(x: Numbers, weight: Numbers, bias?: Numbers): Numbers {
  const [I, O] = weight.shape;
  const y = zeros(...x.shape.slice(0, -1), O);
  for (let n = 0; n < x.data.length / I; n++)
    for (let o = 0; o < O; o++) {
      let sum = bias ? bias.data[o] : 0;
      for (let i = 0; i < I; i++) sum += x.data[n * I + i] * weight.data[i * O + o];
      y.data[n * O + o] = sum;
    }
  return y;
}
