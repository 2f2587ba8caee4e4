// Shapes: B batch, S positions, C channels, G groups, M channels per group.
import type * as tf from '@tensorflow/tfjs-core';
import type { GroupNormSettings, GroupNormValue } from '../group-norm';
import { runKernel, type WebgpuKernel } from './backend';
import { elementOf, ofGroup, sizesOf, totalOver, whereIs } from './group-norm';
import { type Program, runProgram } from './program';
import { sumOverLines, sumRows } from './row-sums';

const KERNEL = 'SgdiffGroupNormGradient';

/** Positions that are worth a workgroup of 8 lines, and how many shares of an image there are at most. */
const SHARE = 64;
const MOST_SHARES = 256;

/** Gradients of `webgpuGroupNorm` with respect to x, weight and bias. No gradient. The caller disposes them. */
export function webgpuGroupNormGradient(
  dy: tf.Tensor,
  x: tf.Tensor,
  weight: tf.Tensor1D,
  bias: tf.Tensor1D,
  { mean, rstd }: Omit<GroupNormValue, 'y'>,
  settings: GroupNormSettings,
): [tf.Tensor, tf.Tensor1D, tf.Tensor1D] {
  const outputs: tf.Tensor[] = runKernel(KERNEL, kernel, { dy, x, weight, bias, mean, rstd }, settings);
  return outputs as [tf.Tensor, tf.Tensor1D, tf.Tensor1D];
}

// With w the weight, n = (x - mean) rstd, u = w n + bias, du the gradient with respect to u, and means over a group:
// dx = rstd (w du - mean(w du) - n mean(w du n)), dWeight = sum(du n), dBias = sum(du).
const kernel: WebgpuKernel<GroupNormSettings> = (backend, inputs, { groups, silu }) => {
  const { dy, x, weight, bias, mean, rstd } = inputs as Record<'dy' | 'x' | 'weight' | 'bias' | 'mean' | 'rstd', tf.TensorInfo>;
  const { B, S, C, G, M, size } = sizesOf(x, groups);
  const span = Math.max(SHARE, Math.ceil(S / MOST_SHARES));
  const shares = Math.ceil(S / span);
  const channelTiles = Math.ceil(C / 32);
  // Sums of du and of du n over the positions of a share.
  const [plain, along] = [0, 1].map(() => backend.makeTensorInfo([B, shares, C], 'float32')) as [tf.TensorInfo, tf.TensorInfo];
  runProgram(backend, sumsProgram(silu), {
    outputs: [plain, along],
    inputs: silu ? [dy, x, mean, rstd, weight, bias] : [dy, x, mean, rstd],
    uniforms: { S, C, G, M, span, shares, channelTiles },
    workgroups: B * shares * channelTiles,
  });
  const [dBias, dWeight] = sumRows(backend, [plain, along], B * shares, C) as [tf.TensorInfo, tf.TensorInfo];
  const means = backend.makeTensorInfo([B, G, 2], 'float32');
  runProgram(backend, MEANS, {
    outputs: [means],
    inputs: [plain, along, weight],
    uniforms: { S, C, G, M, shares },
    workgroups: B * G,
  });
  const dx = backend.makeTensorInfo(x.shape, 'float32');
  const inFours = C % 4 === 0;
  runProgram(backend, inputProgram(inFours, silu), {
    outputs: [dx],
    inputs: [dy, x, mean, rstd, means, weight, ...(silu ? [bias] : [])],
    uniforms: { S, C, G, M, size },
    workgroups: Math.ceil(size / (inFours ? 4 : 1) / 256),
  });
  for (const { dataId } of [plain, along, means]) backend.disposeData(dataId);
  return [dx, dWeight, dBias];
};

/** du from dy, n and the channel. */
function slope(silu: boolean): string {
  if (!silu) return 'let du = dy[index];';
  return `
  let u = n * weight[channel] + bias[channel];
  let s = 1 / (1 + exp(-u));
  let du = dy[index] * s * (1 + u * (1 - s));`;
}

/** 32 channels side by side, in 8 lines of positions. */
function sumsProgram(silu: boolean): Program {
  return {
    name: `SgdiffGroupNormGradient sums ${silu}`,
    threads: 256,
    outputs: { plain: 'f32', along: 'f32' },
    inputs: { dy: 'f32', x: 'f32', mean: 'f32', rstd: 'f32', ...(silu && { weight: 'f32', bias: 'f32' }) },
    uniforms: ['S', 'C', 'G', 'M', 'span', 'shares', 'channelTiles'],
    code: `
${sumOverLines(2)}

fn run(workgroup: i32, thread: i32) {
  let line = thread / 32;
  let channel = (workgroup % uniforms.channelTiles) * 32 + thread % 32;
  let row = workgroup / uniforms.channelTiles; // share of an image
  let image = row / uniforms.shares;
  let first = (row % uniforms.shares) * uniforms.span;
  var sum: array<f32, 2>;
  if (channel < uniforms.C) {
    let group = image * uniforms.G + channel / uniforms.M;
    let center = mean[group];
    let scale = rstd[group];
    for (var position = first + line; position < min(first + uniforms.span, uniforms.S); position += 8) {
      let index = (image * uniforms.S + position) * uniforms.C + channel;
      let n = (x[index] - center) * scale;
      ${slope(silu)}
      sum[0] += du;
      sum[1] += du * n;
    }
  }
  sum = sumOverLines(thread, sum);
  if (thread < 32 && channel < uniforms.C) {
    plain[row * uniforms.C + channel] = sum[0];
    along[row * uniforms.C + channel] = sum[1];
  }
}`,
  };
}

/** mean(w du) and mean(w du n) of each group. */
const MEANS: Program = {
  name: 'SgdiffGroupNormGradient means',
  threads: 64,
  outputs: { means: 'vec2<f32>' },
  inputs: { plain: 'f32', along: 'f32', weight: 'f32' },
  uniforms: ['S', 'C', 'G', 'M', 'shares'],
  code: `
${totalOver(64)}

fn run(workgroup: i32, thread: i32) {
  let image = workgroup / uniforms.G;
  let first = (workgroup % uniforms.G) * uniforms.M;
  var sum = vec2<f32>(0);
  for (var i = thread; i < uniforms.shares * uniforms.M; i += 64) {
    let share = i / uniforms.M;
    let channel = first + i - share * uniforms.M;
    let index = (image * uniforms.shares + share) * uniforms.C + channel;
    sum += weight[channel] * vec2<f32>(plain[index], along[index]);
  }
  let all = vec2<f32>(total(thread, sum.x), total(thread, sum.y));
  if (thread == 0) { means[workgroup] = all / f32(uniforms.S * uniforms.M); }
}`,
};

function inputProgram(inFours: boolean, silu: boolean): Program {
  const element = elementOf(inFours);
  return {
    name: `SgdiffGroupNormGradient input ${inFours} ${silu}`,
    threads: 256,
    outputs: { dx: element },
    // prettier-ignore
    inputs: { dy: element, x: element, mean: 'f32', rstd: 'f32', means: 'vec2<f32>', weight: element, ...(silu && { bias: element }) },
    uniforms: ['S', 'C', 'G', 'M', 'size'],
    code: `
fn run(workgroup: i32, thread: i32) {
  ${whereIs(inFours)}
  let scale = ${ofGroup('rstd', inFours)};
  let n = (x[index] - ${ofGroup('mean', inFours)}) * scale;
  ${slope(silu)}
  dx[index] = scale * (weight[channel] * du - ${ofGroup('means', inFours, '.x')} - n * ${ofGroup('means', inFours, '.y')});
}`,
  };
}
