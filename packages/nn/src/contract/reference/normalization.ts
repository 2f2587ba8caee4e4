// Shapes: B batch, S positions, C channels, G groups, D width.
import { silu } from './activations';
import { type Numbers, zeros } from './numbers';

/** `(x - mean) / sqrt(variance + eps)` over the positions and channels of each group of each image, scaled and shifted by channel. */
export function groupNorm(x: Numbers, weight: Numbers, bias: Numbers, groups: number, eps: number): Numbers {
  const C = weight.data.length;
  const B = x.shape[0];
  const S = x.data.length / (B * C);
  const y = zeros(...x.shape);
  for (let b = 0; b < B; b++)
    for (let g = 0; g < groups; g++) {
      const members: number[] = [];
      for (let s = 0; s < S; s++)
        for (let c = (g * C) / groups; c < ((g + 1) * C) / groups; c++) members.push((b * S + s) * C + c);
      normalize(x, members, eps, y);
    }
  y.data.forEach((value, i) => (y.data[i] = value * weight.data[i % C] + bias.data[i % C]));
  return y;
}

export function groupNormSilu(x: Numbers, weight: Numbers, bias: Numbers, groups: number, eps: number): Numbers {
  return silu(groupNorm(x, weight, bias, groups, eps));
}

/** The same over the last axis. */
export function layerNorm(x: Numbers, weight: Numbers, bias: Numbers, eps: number): Numbers {
  const D = weight.data.length;
  const y = zeros(...x.shape);
  for (let from = 0; from < x.data.length; from += D) {
    const members = Array.from({ length: D }, (_, i) => from + i);
    normalize(x, members, eps, y);
  }
  y.data.forEach((value, i) => (y.data[i] = value * weight.data[i % D] + bias.data[i % D]));
  return y;
}

function normalize(x: Numbers, members: readonly number[], eps: number, y: Numbers): void {
  let mean = 0;
  for (const i of members) mean += x.data[i] / members.length;
  let variance = 0;
  for (const i of members) variance += (x.data[i] - mean) ** 2 / members.length;
  for (const i of members) y.data[i] = (x.data[i] - mean) / Math.sqrt(variance + eps);
}
