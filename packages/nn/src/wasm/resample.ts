// Shapes: B batch, H W size, C channels.
import * as tf from '@tensorflow/tfjs-core';
import { addressOf, ensureRegistered, type KernelArgs, type WasmBackend } from './backend';
import { runRanges } from './threads';

const UPSAMPLE = 'SgdiffUpsample2x';
const GRADIENT = 'SgdiffUpsample2xGradient';

/** Each pixel four times, `[B, H, W, C]` -> `[B, 2H, 2W, C]`. No gradient. The caller disposes it. */
export function wasmUpsample2x(x: tf.Tensor4D): tf.Tensor4D {
  ensureRegistered(UPSAMPLE, upsampleKernel);
  return tf.engine().runKernel(UPSAMPLE, { x }) as tf.Tensor4D;
}

/** Sums of four pixels, `[B, 2H, 2W, C]` -> `[B, H, W, C]`. The caller disposes it. */
export function wasmUpsample2xGradient(dy: tf.Tensor4D): tf.Tensor4D {
  ensureRegistered(GRADIENT, gradientKernel);
  return tf.engine().runKernel(GRADIENT, { dy }) as tf.Tensor4D;
}

function upsampleKernel({ inputs, backend }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const x = inputs.x!;
  const [B, H, W, C] = x.shape as [number, number, number, number];
  const y = wasm.makeOutput([B, 2 * H, 2 * W, C], 'float32');
  runRanges(wasm, 'upsample2x', [addressOf(wasm, x), addressOf(wasm, y), W, C], { total: B * H, itemWork: 4 * W * C });
  return y;
}

function gradientKernel({ inputs, backend }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const dy = inputs.dy!;
  const [B, H, W, C] = dy.shape as [number, number, number, number];
  const dx = wasm.makeOutput([B, H / 2, W / 2, C], 'float32');
  const args = [addressOf(wasm, dy), addressOf(wasm, dx), W / 2, C];
  runRanges(wasm, 'upsample2xGradient', args, { total: (B * H) / 2, itemWork: 2 * W * C });
  return dx;
}
