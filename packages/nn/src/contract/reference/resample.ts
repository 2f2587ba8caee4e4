// Shapes: B batch, H W size, C channels, n block size.
import { type Numbers, zeros } from './numbers';

/** `y[b, i, j, c] = x[b, floor(i / 2), floor(j / 2), c]`. */
export function upsampleNearest2x(x: Numbers): Numbers {
  const [B, H, W, C] = x.shape;
  return gathered([B, 2 * H, 2 * W, C], x, ([b, i, j, c]) => [b, Math.floor(i / 2), Math.floor(j / 2), c]);
}

/** `y[b, i, j, (p, q, c)] = x[b, i n + p, j n + q, c]`. */
export function spaceToDepth(x: Numbers, n: number): Numbers {
  const [B, H, W, C] = x.shape;
  return gathered([B, H / n, W / n, n * n * C], x, ([b, i, j, channel]) => {
    const block = Math.floor(channel / C);
    return [b, i * n + Math.floor(block / n), j * n + (block % n), channel % C];
  });
}

/** `y[b, i n + p, j n + q, c] = x[b, i, j, (p, q, c)]`. */
export function depthToSpace(x: Numbers, n: number): Numbers {
  const [B, h, w, channels] = x.shape;
  const C = channels / (n * n);
  return gathered([B, h * n, w * n, C], x, ([b, i, j, c]) => {
    const block = (i % n) * n + (j % n);
    return [b, Math.floor(i / n), Math.floor(j / n), block * C + c];
  });
}

type Index = [number, number, number, number];

function gathered(shape: Index, x: Numbers, from: (index: Index) => Index): Numbers {
  const [, H, W, C] = shape;
  const [, H1, W1, C1] = x.shape;
  const y = zeros(...shape);
  y.data.forEach((_, at) => {
    const [b, i, j, c] = from([
      Math.floor(at / (H * W * C)),
      Math.floor(at / (W * C)) % H,
      Math.floor(at / C) % W,
      at % C,
    ]);
    y.data[at] = x.data[((b * H1 + i) * W1 + j) * C1 + c];
  });
  return y;
}
