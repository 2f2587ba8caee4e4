import type { UnetConfig } from './config';
import { unetPlan } from './plan';
import { unetTensors } from './tensors';

export type UnetFlopsSize = {
  /** Sides of the latents. */
  readonly height: number;
  readonly width: number;
  /** Triples of the condition, with padding. */
  readonly triples: number;
};

/**
 * Floating-point operations (a multiply-add counts 2) of one item forward: convolutions, linear layers and attention.
 * Norms and activations are left out.
 */
export function unetFlops(config: UnetConfig, { height, width, triples }: UnetFlopsSize): number {
  const positions = height * width;
  const tokens = triples + 1;
  const plan = unetPlan(config);
  const factorOf = (path: string): number => {
    const [, side, index] = /^(input|output)Blocks\.(\d+)\./.exec(path) ?? [];
    if (side === undefined) return path.startsWith('middleBlock') ? plan.middle.factor : 1;
    const { factor } = plan[side as 'input' | 'output'][Number(index)]!;
    if (path.includes('.down.')) return factor * 2;
    return path.includes('.up.') ? factor / 2 : factor;
  };
  let flops = 0;
  for (const { path, shape } of unetTensors(config)) {
    if (!path.endsWith('.weight') || shape.length === 1) continue;
    const here = positions / factorOf(path) ** 2;
    flops += 2 * rowsOf(path, here, triples) * shape.reduce((a, b) => a * b, 1);
    if (path.endsWith('.attn1.q.weight')) flops += 4 * here * here * shape[1]!;
    if (path.endsWith('.attn2.q.weight')) flops += 4 * here * tokens * shape[1]!;
  }
  return flops;
}

/** Rows of the matrix that the weight at `path` is multiplied with. */
function rowsOf(path: string, positions: number, triples: number): number {
  if (path === 'condition.local.weight') return triples;
  if (path.startsWith('condition.') || path.startsWith('timeEmbed.') || path.endsWith('.time.weight')) return 1;
  return /\.attn2\.[kv]\.weight$/.test(path) ? triples + 1 : positions;
}
