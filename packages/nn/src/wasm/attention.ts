// Shapes: B batch, h heads, N queries, M context tokens, D width of all heads.
import * as tf from '@tensorflow/tfjs-core';
import { addressOf, ensureRegistered, type KernelArgs, type WasmBackend } from './backend';
import { simdKernels, type SimdKernels } from './module';
import { runRanges } from './threads';

const ATTENTION = 'SgdiffAttention';
const GRADIENT = 'SgdiffAttentionGradient';

/** Queries of a head that a thread takes at a time: the keys are packed anew for each stretch. */
const STRETCH = 256;

/**
 * Attention of all heads, a block of queries at a time: the matrix of weights is never whole. No gradient.
 *
 * @param q `[B, N, D]`. @param k v `[B, M, D]`. @param mask `[B, M]`, factors of the weights: 1 attend, 0 ignore.
 * @returns `y` `[B, N, D]`, and `lse` `[B, h, N]`, the logarithms of the sums of exponentials, for the gradient. The
 *   caller disposes both.
 * @see arXiv:2205.14135
 */
export function wasmAttention(
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  mask: tf.Tensor2D | undefined,
  heads: number,
): { y: tf.Tensor3D; lse: tf.Tensor3D } {
  ensureRegistered(ATTENTION, attentionKernel);
  const outputs: unknown = tf.engine().runKernel(ATTENTION, mask ? { q, k, v, mask } : { q, k, v }, { heads });
  const [y, lse] = outputs as [tf.Tensor3D, tf.Tensor3D];
  return { y, lse };
}

/** Gradients of `wasmAttention` with respect to q, k and v; the weights are computed again. The caller disposes them. */
export function wasmAttentionGradient(
  dy: tf.Tensor3D,
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  mask: tf.Tensor2D | undefined,
  y: tf.Tensor3D,
  lse: tf.Tensor3D,
  heads: number,
): [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D] {
  ensureRegistered(GRADIENT, gradientKernel);
  const inputs = { dy, q, k, v, y, lse };
  const outputs: unknown = tf.engine().runKernel(GRADIENT, mask ? { ...inputs, mask } : inputs, { heads });
  return outputs as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
}

function attentionKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo[] {
  const wasm = backend as WasmBackend;
  const { q, k, v, mask } = inputs as Record<'q' | 'k' | 'v', tf.TensorInfo> & { mask?: tf.TensorInfo };
  const { B, N, M, d, heads } = sizesOf(q, k, attrs);
  const y = wasm.makeOutput(q.shape, 'float32');
  const lse = wasm.makeOutput([B, heads, N], 'float32');
  const stretch = Math.min(N, STRETCH);
  const addresses = [q, k, v, mask, y, lse].map((tensor) => (tensor ? addressOf(wasm, tensor) : 0));
  runRanges(wasm, 'attend', [...addresses, N, M, heads, d, 1 / Math.sqrt(d), stretch], {
    total: B * heads * Math.ceil(N / stretch),
    itemWork: 4 * stretch * M * d,
    scratchBytes: (simdKernels() as SimdKernels).attendScratchBytes(N, M, d),
  });
  return [y, lse];
}

function gradientKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo[] {
  const wasm = backend as WasmBackend;
  const { dy, q, k, v, y, lse, mask } = inputs as Record<'dy' | 'q' | 'k' | 'v' | 'y' | 'lse', tf.TensorInfo> & {
    mask?: tf.TensorInfo;
  };
  const { B, N, M, d, heads } = sizesOf(q, k, attrs);
  const grads = [q, k, v].map((tensor) => wasm.makeOutput(tensor.shape, 'float32'));
  const addresses = [dy, q, k, v, mask, y, lse, ...grads].map((tensor) => (tensor ? addressOf(wasm, tensor) : 0));
  runRanges(wasm, 'attendGradient', [...addresses, N, M, heads, d, 1 / Math.sqrt(d)], {
    total: B * heads,
    itemWork: 10 * N * M * d,
    scratchBytes: (simdKernels() as SimdKernels).attendGradientScratchBytes(N, M, d),
  });
  return grads;
}

function sizesOf(
  q: tf.TensorInfo,
  k: tf.TensorInfo,
  attrs: Record<string, unknown>,
): { B: number; N: number; M: number; d: number; heads: number } {
  const heads = attrs.heads as number;
  const [B, N, D] = q.shape as [number, number, number];
  return { B, N, M: k.shape[1]!, d: D / heads, heads };
}
