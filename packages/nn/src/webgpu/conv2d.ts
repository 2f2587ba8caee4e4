// A convolution as a product of the patches of x, one row per output pixel, with the weights.
// Shapes: B batch, H W input size, h w output size, C input channels, K output channels.
import type * as tf from '@tensorflow/tfjs-core';
import { runKernel, type WebgpuKernel } from './backend';
import { addParts, partsOf, tileFor } from './parts';
import { type Element, type Program, runProgram } from './program';

const KERNEL = 'SgdiffConv2d';

/** Input channels whose numbers are in the workgroup's memory at a time. */
const DEPTH = 16;
const QUADS = DEPTH / 4;
/** A row of them in vec4s: one more than needed, so that rows begin in different banks of the memory. */
const ROW = QUADS + 1;

export type Conv2dAttrs = {
  readonly stride: number;
  /** Rows and columns of zeros around x. */
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
};

/**
 * A convolution. tfjs' adds with atomics where there are few outputs, in any order; here the bytes are the same each time.
 * No gradient.
 *
 * @param x `[B, H, W, C]`. @param weight `[kh, kw, C, K]`. @param bias `[K]`.
 * @returns `[B, h, w, K]`. The caller disposes it.
 */
export function webgpuConv2d(x: tf.Tensor4D, weight: tf.Tensor4D, bias: tf.Tensor1D | undefined, attrs: Conv2dAttrs): tf.Tensor4D {
  return runKernel(KERNEL, conv2d, bias ? { x, weight, bias } : { x, weight }, attrs)[0] as tf.Tensor4D;
}

export const conv2d: WebgpuKernel<Conv2dAttrs> = (backend, { x, weight, bias }, { stride, top, bottom, left, right }) => {
  const [B, H, W, C] = x!.shape as [number, number, number, number];
  const [kh, kw, , K] = weight!.shape as [number, number, number, number];
  const h = Math.floor((H + top + bottom - kh) / stride) + 1;
  const w = Math.floor((W + left + right - kw) / stride) + 1;
  const tile = tileFor(K);
  const [pixelTiles, channelTiles] = [Math.ceil((B * h * w) / tile), Math.ceil(K / tile)];
  const { span, parts } = partsOf(C, pixelTiles * channelTiles, kh * kw);
  const y = backend.makeTensorInfo([B, h, w, K], 'float32');
  const sums = parts === 1 ? y : backend.makeTensorInfo([parts, B, h, w, K], 'float32');
  runProgram(backend, program(tile, C % 4 === 0, K % 4 === 0, bias !== undefined), {
    outputs: [sums],
    inputs: [x!, weight!, ...(bias ? [bias] : [])],
    uniforms: { B, H, W, C, h, w, K, kh, kw, stride, top, left, span, pixelTiles, channelTiles },
    workgroups: pixelTiles * channelTiles * parts,
  });
  if (parts > 1) addParts(backend, sums, y);
  return [y];
};

/** Each of the threads of a workgroup has 4 × 4 of the pixels and channels of a tile. */
function program(tile: number, xInFours: boolean, yInFours: boolean, biased: boolean): Program {
  const lanes = tile / 4;
  const threads = lanes * lanes;
  const fetches = tile / (threads / QUADS);
  const element = (inFours: boolean): Element => (inFours ? 'vec4<f32>' : 'f32');
  const columns = element(yInFours);
  return {
    name: `${KERNEL} ${tile} ${xInFours} ${yInFours} ${biased}`,
    threads,
    outputs: { sums: columns },
    inputs: { x: element(xInFours), weight: columns, ...(biased && { bias: columns }) },
    // prettier-ignore
    uniforms: ['B', 'H', 'W', 'C', 'h', 'w', 'K', 'kh', 'kw', 'stride', 'top', 'left', 'span', 'pixelTiles', 'channelTiles'],
    code: `
var<workgroup> patches: array<vec4<f32>, ${tile * ROW}>; // a row per pixel
var<workgroup> taps: array<array<vec4<f32>, ${lanes}>, ${DEPTH}>; // a row per input channel

fn run(workgroup: i32, thread: i32) {
  let lane = thread % ${lanes};
  let line = thread / ${lanes};
  let column = (workgroup % uniforms.channelTiles) * ${tile} + lane * 4;
  let rest = workgroup / uniforms.channelTiles;
  let firstPixel = (rest % uniforms.pixelTiles) * ${tile};
  let part = rest / uniforms.pixelTiles;
  let end = min((part + 1) * uniforms.span, uniforms.C);
  let pixelCount = uniforms.B * uniforms.h * uniforms.w;
  // Four numbers of some pixels are what this thread fetches: image, row and column of their windows, image -1 beyond the last.
  let fetched = thread / ${QUADS};
  let quad = thread % ${QUADS};
  var windows: array<vec3<i32>, ${fetches}>;
  for (var f = 0; f < ${fetches}; f++) {
    let pixel = firstPixel + fetched + ${threads / QUADS} * f;
    let outputLine = pixel / uniforms.w;
    let image = outputLine / uniforms.h;
    let row = (outputLine - image * uniforms.h) * uniforms.stride - uniforms.top;
    let col = (pixel - outputLine * uniforms.w) * uniforms.stride - uniforms.left;
    windows[f] = vec3<i32>(select(-1, image, pixel < pixelCount), row, col);
  }
  var products = array<vec4<f32>, 4>();
  for (var di = 0; di < uniforms.kh; di++) {
    for (var dj = 0; dj < uniforms.kw; dj++) {
      var positions: array<i32, ${fetches}>; // of x under the tap; -1 where there is none
      for (var f = 0; f < ${fetches}; f++) {
        let at = windows[f].yz + vec2<i32>(di, dj);
        let inside = windows[f].x >= 0 && all(at >= vec2<i32>(0)) && all(at < vec2<i32>(uniforms.H, uniforms.W));
        positions[f] = select(-1, (windows[f].x * uniforms.H + at.x) * uniforms.W + at.y, inside);
      }
      let tap = (di * uniforms.kw + dj) * uniforms.C;
      for (var start = part * uniforms.span; start < end; start += ${DEPTH}) {
        for (var f = 0; f < ${fetches}; f++) {
          patches[(fetched + ${threads / QUADS} * f) * ${ROW} + quad] = xAt(positions[f], start + quad * 4);
        }
        for (var depth = line; depth < ${DEPTH}; depth += ${lanes}) {
          taps[depth][lane] = weightAt(tap + start + depth, column, start + depth < uniforms.C);
        }
        workgroupBarrier();
        for (var four = 0; four < ${QUADS}; four++) {
          let t0 = taps[4 * four][lane];
          let t1 = taps[4 * four + 1][lane];
          let t2 = taps[4 * four + 2][lane];
          let t3 = taps[4 * four + 3][lane];
          for (var row = 0; row < 4; row++) {
            let a = patches[(line + ${lanes} * row) * ${ROW} + four];
            products[row] += a.x * t0 + a.y * t1 + a.z * t2 + a.w * t3;
          }
        }
        workgroupBarrier();
      }
    }
  }
  ${biased ? `if (part == 0) { for (var row = 0; row < 4; row++) { products[row] += biasAt(column); } }` : ''}
  for (var row = 0; row < 4; row++) {
    let pixel = firstPixel + line + ${lanes} * row;
    if (pixel < pixelCount && column < uniforms.K) {
      let at = (part * pixelCount + pixel) * uniforms.K + column;
      ${
        yInFours
          ? 'sums[at / 4] = products[row];'
          : 'for (var i = 0; i < min(4, uniforms.K - column); i++) { sums[at + i] = products[row][i]; }'
      }
    }
  }
}

// Four channels of a position from c, 0 beyond the last one.
fn xAt(position: i32, c: i32) -> vec4<f32> {
  var four = vec4<f32>(0);
  ${
    xInFours
      ? 'if (position >= 0 && c < uniforms.C) { four = x[(position * uniforms.C + c) / 4]; }'
      : 'if (position >= 0) { for (var i = 0; i < min(4, uniforms.C - c); i++) { four[i] = x[position * uniforms.C + c + i]; } }'
  }
  return four;
}

// Four output channels of a row of weights from k, 0 beyond the last one.
fn weightAt(row: i32, k: i32, exists: bool) -> vec4<f32> {
  var four = vec4<f32>(0);
  ${
    yInFours
      ? 'if (exists && k < uniforms.K) { four = weight[(row * uniforms.K + k) / 4]; }'
      : 'if (exists) { for (var i = 0; i < min(4, uniforms.K - k); i++) { four[i] = weight[row * uniforms.K + k + i]; } }'
  }
  return four;
}
${
  biased
    ? `
fn biasAt(k: i32) -> vec4<f32> {
  var four = vec4<f32>(0);
  ${
    yInFours
      ? 'if (k < uniforms.K) { four = bias[k / 4]; }'
      : 'for (var i = 0; i < min(4, uniforms.K - k); i++) { four[i] = bias[k + i]; }'
  }
  return four;
}`
    : ''
}`,
  };
}
