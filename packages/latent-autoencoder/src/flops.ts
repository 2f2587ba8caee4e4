import { downsamplingFactor, type AutoencoderConfig } from './config';
import { autoencoderTensors } from './tensors';

export type AutoencoderFlops = { readonly encode: number; readonly decode: number };

/**
 * Floating-point operations (a multiply-add counts 2) of one image forward: convolutions, attention and the search
 * for the nearest code. Norms and activations are left out.
 *
 * @param sizePx Side of the square image.
 */
export function autoencoderFlops(config: AutoencoderConfig, sizePx: number): AutoencoderFlops {
  const finest = sizePx / config.stem; // side of level 0
  const latent = sizePx / downsamplingFactor(config);
  const total = { encode: 0, decode: 0 };
  for (const { path, shape } of autoencoderTensors(config)) {
    const half = path.startsWith('encoder') || path.startsWith('quantConv') ? 'encode' : 'decode';
    if (path === 'quantize.embedding.weight') total.decode += 2 * latent ** 2 * shape[0]! * config.embedDim;
    if (shape.length !== 4) continue;
    const side = outputSide(path, finest, latent);
    total[half] += 2 * side ** 2 * shape[0]! * shape[1]! * shape[2]! * shape[3]!;
    if (path.endsWith('.q.weight')) total[half] += 4 * side ** 4 * shape[3]!;
  }
  return total;
}

/** Side of what the convolution at `path` returns. */
function outputSide(path: string, finest: number, latent: number): number {
  const level = /\.(down|up)\.(\d+)\./.exec(path);
  if (level) {
    const side = finest / 2 ** Number(level[2]);
    if (path.includes('.downsample.')) return side / 2;
    return path.includes('.upsample.') ? side * 2 : side;
  }
  return path.startsWith('encoder.convIn') || path.startsWith('decoder.convOut') ? finest : latent;
}
