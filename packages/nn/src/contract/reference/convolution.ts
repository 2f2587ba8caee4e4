// Shapes: B batch, H W input size, h w output size, C input channels, K output channels.
import type { Conv2dOptions } from '../../conv2d';
import { type Numbers, zeros } from './numbers';

/**
 * `y[b, i, j, k] = bias[k] + Σ_{p, q, c} x[b, i s + p - top, j s + q - left, c] weight[p, q, c, k]` with stride s and x zero
 * outside of the image.
 */
export function conv2d(x: Numbers, weight: Numbers, bias: Numbers | undefined, options: Conv2dOptions = {}): Numbers {
  const { stride = 1, padding = 'same' } = options;
  const [B, H, W, C] = x.shape;
  const [kh, kw, , K] = weight.shape;
  const [vertical, horizontal] =
    typeof padding === 'string'
      ? [sidesOf(padding, H, kh, stride), sidesOf(padding, W, kw, stride)]
      : [
          { before: padding.top, after: padding.bottom },
          { before: padding.left, after: padding.right },
        ];
  const h = Math.floor((H + vertical.before + vertical.after - kh) / stride) + 1;
  const w = Math.floor((W + horizontal.before + horizontal.after - kw) / stride) + 1;
  const y = zeros(B, h, w, K);
  for (let b = 0; b < B; b++)
    for (let i = 0; i < h; i++)
      for (let j = 0; j < w; j++) {
        const to = ((b * h + i) * w + j) * K;
        for (let k = 0; k < K; k++) y.data[to + k] = bias ? bias.data[k] : 0;
        for (let p = 0; p < kh; p++)
          for (let q = 0; q < kw; q++) {
            const row = i * stride + p - vertical.before;
            const column = j * stride + q - horizontal.before;
            if (row < 0 || row >= H || column < 0 || column >= W) continue;
            for (let c = 0; c < C; c++) {
              const value = x.data[((b * H + row) * W + column) * C + c];
              const taps = ((p * kw + q) * C + c) * K;
              for (let k = 0; k < K; k++) y.data[to + k] += value * weight.data[taps + k];
            }
          }
      }
  return y;
}

/** TensorFlow's `same`: ceil(size / stride) outputs, the odd zero after the image. */
function sidesOf(
  padding: 'same' | 'valid',
  size: number,
  kernel: number,
  stride: number,
): { before: number; after: number } {
  if (padding === 'valid') return { before: 0, after: 0 };
  const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + kernel - size);
  return { before: Math.floor(total / 2), after: Math.ceil(total / 2) };
}
