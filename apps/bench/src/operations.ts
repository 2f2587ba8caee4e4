// Shapes: B batch, S side of an image, C input channels, K output channels, N rows or tokens, M context tokens, D width.
import * as nn from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import type { BenchCase, PyTorchTask } from './bench-case';
import { conv2dGradientRoute } from './plain/conv2d';
import * as plain from './plain/nn';
import { segmentRoute } from './plain/segments';

type Operations = Pick<typeof nn, keyof typeof plain & keyof typeof nn>;
type Shapes = Readonly<Record<string, number[]>>;

/** An operation, ours or plain, as a function of named tensors. */
type OperationSpec = {
  readonly op: string;
  readonly shape: string;
  /** Differentiated when `gradients` is set. */
  readonly inputs: Shapes;
  readonly output: number[];
  /** Operations of the value alone; those of the gradients as well when `gradients` is set. */
  readonly flops: number;
  readonly gradients: boolean;
  readonly apply: (ops: Operations, inputs: Record<string, tf.Tensor>) => tf.Tensor;
  readonly pytorch: PyTorchTask;
  readonly baseline?: () => string;
};

// Norms and activations are bound by memory; their operations per number are counted roughly, as one for each of
// add, multiply, exp, divide and square root, for value and gradients together.
const GROUP_NORM_SILU_FLOPS = 30;
const LAYER_NORM_FLOPS = 22;

/** The operations of nn at sizes of the picture-book U-Net; `tiny` ones are for tests. */
export function operationCases({ tiny = false }: { readonly tiny?: boolean } = {}): BenchCase[] {
  const pick = <T>(full: T, small: T): T => (tiny ? small : full);
  return [
    conv2d({ ...pick({ B: 8, S: 32, C: 64 }, { B: 2, S: 5, C: 4 }), stride: 1, gradients: false }),
    conv2d({ ...pick({ B: 16, S: 16, C: 96 }, { B: 2, S: 4, C: 6 }), stride: 1, gradients: false }),
    conv2d({ ...pick({ B: 8, S: 32, C: 64 }, { B: 2, S: 5, C: 4 }), stride: 1, gradients: true }),
    conv2d({ ...pick({ B: 16, S: 16, C: 96 }, { B: 2, S: 4, C: 6 }), stride: 1, gradients: true }),
    conv2d({ ...pick({ B: 16, S: 16, C: 96 }, { B: 2, S: 4, C: 6 }), stride: 2, gradients: true }),
    linear(pick({ N: 1024, C: 96, K: 384 }, { N: 8, C: 3, K: 5 })),
    groupNormSilu(pick({ B: 8, S: 32, C: 64 }, { B: 2, S: 4, C: 16 })),
    layerNorm(pick({ N: 4096, D: 96 }, { N: 8, D: 6 })),
    attention(pick({ N: 256, D: 256, heads: 8 }, { N: 8, D: 8, heads: 2 })),
    crossAttention(pick({ B: 16, N: 64, M: 13, D: 96, heads: 4 }, { B: 2, N: 4, M: 3, D: 8, heads: 2 })),
    geglu(pick({ N: 1024, C: 96, K: 192 }, { N: 8, C: 4, K: 6 })),
    upsample(pick({ B: 16, S: 8, C: 96 }, { B: 2, S: 3, C: 4 })),
    gatherRows(pick({ N: 640, M: 1536, D: 96 }, { N: 4, M: 9, D: 6 })),
    segmentMean(pick({ N: 640, M: 1536, D: 96 }, { N: 4, M: 9, D: 6 })),
  ].map(operationCase);
}

function conv2d(sizes: { B: number; S: number; C: number; stride: number; gradients: boolean }): OperationSpec {
  const { B, S, C, stride, gradients } = sizes;
  const out = Math.ceil(S / stride);
  const padding = stride === 1 ? 'same' : { top: 1, bottom: 1, left: 1, right: 1 };
  return {
    op: `conv2d-3x3${stride === 1 ? '' : '-stride2'}`,
    shape: `${B}×${S}×${S}×${C} → ${C}`,
    inputs: { x: [B, S, S, C], weight: [3, 3, C, C] },
    output: [B, out, out, C],
    flops: 2 * B * out * out * 9 * C * C * (gradients ? 3 : 1),
    gradients,
    apply: (ops, { x, weight }) =>
      ops.conv2d({ weight: weight as tf.Tensor4D }, x as tf.Tensor4D, { stride, padding }),
    pytorch: { make: 'conv2d', args: { batch: B, side: S, channels: C, stride, gradients } },
    baseline: () => (gradients ? conv2dGradientRoute() : "tfjs' conv2d"),
  };
}

function linear({ N, C, K }: { N: number; C: number; K: number }): OperationSpec {
  return {
    op: 'linear',
    shape: `${N}×${C} → ${K}`,
    inputs: { x: [N, C], weight: [C, K], bias: [K] },
    output: [N, K],
    flops: 6 * N * C * K,
    gradients: true,
    apply: (ops, { x, weight, bias }) => ops.linear({ weight: weight as tf.Tensor2D, bias: bias as tf.Tensor1D }, x),
    pytorch: { make: 'linear', args: { rows: N, inWidth: C, outWidth: K } },
  };
}

function groupNormSilu({ B, S, C }: { B: number; S: number; C: number }): OperationSpec {
  return {
    op: 'group-norm-silu',
    shape: `${B}×${S}×${S}×${C}, 8 groups`,
    inputs: { x: [B, S, S, C], weight: [C], bias: [C] },
    output: [B, S, S, C],
    flops: GROUP_NORM_SILU_FLOPS * B * S * S * C,
    gradients: true,
    apply: (ops, { x, weight, bias }) => ops.groupNormSilu(norm(weight, bias), x, { groups: 8 }),
    pytorch: { make: 'group_norm_silu', args: { batch: B, side: S, channels: C, groups: 8 } },
  };
}

function layerNorm({ N, D }: { N: number; D: number }): OperationSpec {
  return {
    op: 'layer-norm',
    shape: `${N}×${D}`,
    inputs: { x: [N, D], weight: [D], bias: [D] },
    output: [N, D],
    flops: LAYER_NORM_FLOPS * N * D,
    gradients: true,
    apply: (ops, { x, weight, bias }) => ops.layerNorm(norm(weight, bias), x),
    pytorch: { make: 'layer_norm', args: { rows: N, width: D } },
  };
}

function attention({ N, D, heads }: { N: number; D: number; heads: number }): OperationSpec {
  return {
    op: 'attention',
    shape: `${heads} heads × ${N} tokens × ${D / heads}`,
    inputs: { q: [1, N, D], k: [1, N, D], v: [1, N, D] },
    output: [1, N, D],
    flops: 12 * N * N * D,
    gradients: true,
    apply: (ops, { q, k, v }) =>
      ops.scaledDotProductAttention(q as tf.Tensor3D, k as tf.Tensor3D, v as tf.Tensor3D, { heads }),
    pytorch: { make: 'attention', args: { batch: 1, queries: N, tokens: N, width: D, heads, masked: false } },
  };
}

function crossAttention(sizes: { B: number; N: number; M: number; D: number; heads: number }): OperationSpec {
  const { B, N, M, D, heads } = sizes;
  // Each item of the batch has one token less than the one before it.
  const mask = Float32Array.from({ length: B * M }, (_, i) => (i % M < M - (Math.floor(i / M) % M) ? 1 : 0));
  return {
    op: 'cross-attention-masked',
    shape: `${B} × ${heads} heads × ${N} to ${M} tokens × ${D / heads}`,
    inputs: { q: [B, N, D], k: [B, M, D], v: [B, M, D] },
    output: [B, N, D],
    flops: 12 * B * N * M * D,
    gradients: true,
    apply: (ops, { q, k, v }) =>
      ops.scaledDotProductAttention(q as tf.Tensor3D, k as tf.Tensor3D, v as tf.Tensor3D, {
        heads,
        mask: tf.tensor2d(mask, [B, M]),
      }),
    pytorch: { make: 'attention', args: { batch: B, queries: N, tokens: M, width: D, heads, masked: true } },
  };
}

function geglu({ N, C, K }: { N: number; C: number; K: number }): OperationSpec {
  return {
    op: 'geglu',
    shape: `${N}×${C} → ${K}`,
    inputs: { x: [N, C], weight: [C, 2 * K], bias: [2 * K] },
    output: [N, K],
    flops: 12 * N * C * K,
    gradients: true,
    apply: (ops, { x, weight, bias }) =>
      ops.geglu({ proj: { weight: weight as tf.Tensor2D, bias: bias as tf.Tensor1D } }, x),
    pytorch: { make: 'geglu', args: { rows: N, inWidth: C, hiddenWidth: K } },
  };
}

function upsample({ B, S, C }: { B: number; S: number; C: number }): OperationSpec {
  return {
    op: 'upsample',
    shape: `${B}×${S}×${S}×${C} → ${2 * S}×${2 * S}`,
    inputs: { x: [B, S, S, C] },
    output: [B, 2 * S, 2 * S, C],
    flops: 3 * B * S * S * C,
    gradients: true,
    apply: (ops, { x }) => ops.upsampleNearest2x(x as tf.Tensor4D),
    pytorch: { make: 'upsample', args: { batch: B, side: S, channels: C } },
    baseline: () => "tfjs' tile and its gradient",
  };
}

function gatherRows({ N, M, D }: { N: number; M: number; D: number }): OperationSpec {
  return {
    op: 'gather-rows',
    shape: `${M} of ${N} rows × ${D}`,
    inputs: { x: [N, D] },
    output: [M, D],
    flops: M * D,
    gradients: true,
    apply: (ops, { x }) => ops.gatherRows(x as tf.Tensor2D, spreadIds(M, N)),
    pytorch: { make: 'gather_rows', args: { rows: N, count: M, width: D } },
    baseline: segmentRoute,
  };
}

function segmentMean({ N, M, D }: { N: number; M: number; D: number }): OperationSpec {
  return {
    op: 'segment-mean',
    shape: `${M} rows × ${D} → ${N}`,
    inputs: { x: [M, D] },
    output: [N, D],
    flops: 2 * M * D,
    gradients: true,
    apply: (ops, { x }) => ops.segmentMean(x as tf.Tensor2D, spreadIds(M, N), N),
    pytorch: { make: 'segment_mean', args: { rows: M, count: N, width: D } },
    baseline: segmentRoute,
  };
}

/** Ids that jump about, as those of a graph's edges do. */
function spreadIds(length: number, count: number): tf.Tensor1D {
  return tf.tensor1d(Int32Array.from({ length }, (_, i) => (i * 7919) % count), 'int32');
}

function operationCase(spec: OperationSpec): BenchCase {
  const { inputs, output, gradients, apply } = spec;
  const numbers = [...Object.values(inputs), output].reduce((sum, shape) => sum + sizeOf(shape), 0);
  return {
    op: gradients ? `${spec.op}-grad` : spec.op,
    part: 'nn',
    shape: spec.shape,
    flops: spec.flops,
    bytes: 4 * numbers * (gradients ? 2 : 1),
    baseline: spec.baseline ?? (() => 'operations of tfjs and their gradients'),
    pytorch: spec.pytorch,
    async create() {
      const rng = nn.createRng('bench', spec.op);
      const normal = (shape: number[], key: string): tf.Tensor =>
        tf.tensor(rng.fork(key).fillNormal(new Float32Array(sizeOf(shape))), shape);
      const names = Object.keys(inputs);
      const tensors = names.map((name) => normal(inputs[name], name));
      const dy = normal(output, 'dy');
      const run = (ops: Operations) => (): tf.Tensor[] =>
        tf.tidy(() => {
          const f = (...args: tf.Tensor[]): tf.Tensor => apply(ops, Object.fromEntries(args.map((arg, i) => [names[i], arg])));
          return gradients ? tf.grads(f)(tensors, dy) : [f(...tensors)];
        });
      return { ours: run(nn), plain: run(plain), dispose: () => tf.dispose([tensors, dy]) };
    },
  };
}

function norm(weight: tf.Tensor, bias: tf.Tensor): nn.NormParams {
  return { weight: weight as tf.Tensor1D, bias: bias as tf.Tensor1D };
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}
