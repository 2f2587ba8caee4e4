// Shapes: N rows, D width.
import type * as tf from '@tensorflow/tfjs-core';
import { runKernel, type WebgpuKernel } from './backend';
import { totalOver } from './group-norm';
import { rowsOf } from './layer-norm';
import { partsOf } from './parts';
import { type Program, runProgram } from './program';
import { sumOverLines, sumRows } from './row-sums';

const KERNEL = 'SgdiffLayerNormGradient';

/** Threads of a row. */
const THREADS = 64;

/** Gradients of `webgpuLayerNorm` with respect to x, weight and bias. No gradient. The caller disposes them. */
export function webgpuLayerNormGradient(
  dy: tf.Tensor,
  x: tf.Tensor,
  weight: tf.Tensor1D,
  mean: tf.Tensor1D,
  rstd: tf.Tensor1D,
): [tf.Tensor, tf.Tensor1D, tf.Tensor1D] {
  const outputs: tf.Tensor[] = runKernel(KERNEL, kernel, { dy, x, weight, mean, rstd }, {});
  return outputs as [tf.Tensor, tf.Tensor1D, tf.Tensor1D];
}

// With w the weight, n = (x - mean) rstd and means over a row: dx = rstd (w dy - mean(w dy) - n mean(w dy n)),
// dWeight = sum(dy n), dBias = sum(dy).
const kernel: WebgpuKernel<object> = (backend, inputs) => {
  const { dy, x, weight, mean, rstd } = inputs as Record<'dy' | 'x' | 'weight' | 'mean' | 'rstd', tf.TensorInfo>;
  const { N, D } = rowsOf(x);
  const dx = backend.makeTensorInfo(x.shape, 'float32');
  runProgram(backend, INPUT, { outputs: [dx], inputs: [dy, x, weight, mean, rstd], uniforms: { D }, workgroups: N });
  const tiles = Math.ceil(D / 32);
  const { span, parts } = partsOf(N, tiles, 2);
  // Sums of dy and of dy n over the rows of a share.
  const [plain, along] = [0, 1].map(() => backend.makeTensorInfo([parts, D], 'float32')) as [tf.TensorInfo, tf.TensorInfo];
  runProgram(backend, WEIGHTS, {
    outputs: [plain, along],
    inputs: [dy, x, mean, rstd],
    uniforms: { N, D, span, tiles },
    workgroups: tiles * parts,
  });
  const [dBias, dWeight] = sumRows(backend, [plain, along], parts, D) as [tf.TensorInfo, tf.TensorInfo];
  for (const { dataId } of [plain, along]) backend.disposeData(dataId);
  return [dx, dWeight, dBias];
};

const INPUT: Program = {
  name: 'SgdiffLayerNormGradient input',
  threads: THREADS,
  outputs: { dx: 'f32' },
  inputs: { dy: 'f32', x: 'f32', weight: 'f32', mean: 'f32', rstd: 'f32' },
  uniforms: ['D'],
  code: `
${totalOver(THREADS)}

fn run(workgroup: i32, thread: i32) {
  let start = workgroup * uniforms.D;
  let center = mean[workgroup];
  let scale = rstd[workgroup];
  var plain = 0.0;
  var along = 0.0;
  for (var i = thread; i < uniforms.D; i += ${THREADS}) {
    let slope = weight[i] * dy[start + i];
    plain += slope;
    along += slope * (x[start + i] - center) * scale;
  }
  let plainMean = total(thread, plain) / f32(uniforms.D);
  let alongMean = total(thread, along) / f32(uniforms.D);
  for (var i = thread; i < uniforms.D; i += ${THREADS}) {
    let n = (x[start + i] - center) * scale;
    dx[start + i] = scale * (weight[i] * dy[start + i] - plainMean - n * alongMean);
  }
}`,
};

/** 32 channels side by side, in 8 lines of rows. */
const WEIGHTS: Program = {
  name: 'SgdiffLayerNormGradient weights',
  threads: 256,
  outputs: { plain: 'f32', along: 'f32' },
  inputs: { dy: 'f32', x: 'f32', mean: 'f32', rstd: 'f32' },
  uniforms: ['N', 'D', 'span', 'tiles'],
  code: `
${sumOverLines(2)}

fn run(workgroup: i32, thread: i32) {
  let channel = (workgroup % uniforms.tiles) * 32 + thread % 32;
  let part = workgroup / uniforms.tiles;
  var sum: array<f32, 2>;
  if (channel < uniforms.D) {
    for (var row = part * uniforms.span + thread / 32; row < min((part + 1) * uniforms.span, uniforms.N); row += 8) {
      let index = row * uniforms.D + channel;
      sum[0] += dy[index];
      sum[1] += dy[index] * (x[index] - mean[row]) * rstd[row];
    }
  }
  sum = sumOverLines(thread, sum);
  if (thread < 32 && channel < uniforms.D) {
    plain[part * uniforms.D + channel] = sum[0];
    along[part * uniforms.D + channel] = sum[1];
  }
}`,
};
