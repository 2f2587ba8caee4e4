// The gradient of a convolution with respect to its input: for each pixel, over the taps of the kernel that saw it, a product
// of dy with the weights. With a stride s, pixels s apart have the same taps; each such phase is a product of its own, and
// none is made with the zeros that lie between the outputs.
// Shapes: B batch, H W input size, h w output size, C input channels, K output channels.
import type * as tf from '@tensorflow/tfjs-core';
import { runKernel, type WebgpuKernel } from './backend';
import { addParts, partsOf, tileFor } from './parts';
import { type Element, type Program, runProgram } from './program';

const KERNEL = 'SgdiffConvInputGradient';

/** Output channels whose numbers are in the workgroup's memory at a time. */
const DEPTH = 16;
const QUADS = DEPTH / 4;
/** A row of them in vec4s: one more than needed, so that rows begin in different banks of the memory. */
const ROW = QUADS + 1;

export type ConvInputGradientOptions = {
  readonly H: number;
  readonly W: number;
  readonly stride: number;
  /** Rows and columns of zeros around x. */
  readonly top: number;
  readonly left: number;
};

/**
 * The gradient of a convolution with respect to x. No gradient.
 *
 * @param dy `[B, h, w, K]`. @param weight `[kh, kw, C, K]`.
 * @returns `[B, H, W, C]`. The caller disposes it.
 */
export function webgpuConvInputGradient(dy: tf.Tensor4D, weight: tf.Tensor4D, options: ConvInputGradientOptions): tf.Tensor4D {
  return runKernel(KERNEL, convInputGradient, { dy, weight }, options)[0] as tf.Tensor4D;
}

export const convInputGradient: WebgpuKernel<ConvInputGradientOptions> = (backend, inputs, { H, W, stride, top, left }) => {
  const [dy, weight] = [inputs.dy!, inputs.weight!];
  const [B, h, w, K] = dy.shape as [number, number, number, number];
  const [kh, kw, C] = weight.shape as [number, number, number, number];
  const tile = tileFor(C);
  const pixelTiles = Math.ceil((B * Math.ceil(H / stride) * Math.ceil(W / stride)) / tile);
  const channelTiles = Math.ceil(C / tile);
  const tiles = stride * stride * pixelTiles * channelTiles;
  const taps = Math.ceil(kh / stride) * Math.ceil(kw / stride);
  const { span, parts } = partsOf(K, tiles, taps);
  const dx = backend.makeTensorInfo([B, H, W, C], 'float32');
  const sums = parts === 1 ? dx : backend.makeTensorInfo([parts, B, H, W, C], 'float32');
  runProgram(backend, program(tile, K % 4 === 0, C % 4 === 0), {
    outputs: [sums],
    inputs: [dy, weight],
    uniforms: { B, H, W, C, h, w, K, kh, kw, stride, top, left, span, pixelTiles, channelTiles },
    workgroups: tiles * parts,
  });
  if (parts > 1) addParts(backend, sums, dx);
  return [dx];
};

/** Each of the threads of a workgroup has 4 × 4 of the pixels and channels of a tile. */
function program(tile: number, dyInFours: boolean, dxInFours: boolean): Program {
  const lanes = tile / 4;
  const threads = lanes * lanes;
  const fetches = tile / (threads / QUADS);
  const element = (inFours: boolean): Element => (inFours ? 'vec4<f32>' : 'f32');
  return {
    name: `SgdiffConvInputGradient ${tile} ${dyInFours} ${dxInFours}`,
    threads,
    outputs: { sums: element(dxInFours) },
    inputs: { dy: element(dyInFours), weight: element(dyInFours) },
    // prettier-ignore
    uniforms: ['B', 'H', 'W', 'C', 'h', 'w', 'K', 'kh', 'kw', 'stride', 'top', 'left', 'span', 'pixelTiles', 'channelTiles'],
    code: `
var<workgroup> slopes: array<vec4<f32>, ${tile * ROW}>; // a row per pixel
var<workgroup> taps: array<vec4<f32>, ${tile * ROW}>; // a row per channel: channel c in row ${lanes} (c mod 4) + c / 4

// Image, row and column of a pixel of the phase; image -1 beyond the last one.
fn pixelAt(number: i32, first: vec2<i32>) -> vec3<i32> {
  let size = (vec2<i32>(uniforms.H, uniforms.W) - first + uniforms.stride - 1) / uniforms.stride;
  if (size.x <= 0 || size.y <= 0) { return vec3<i32>(-1, 0, 0); }
  let line = number / size.y;
  let image = line / size.x;
  let row = first.x + (line - image * size.x) * uniforms.stride;
  let col = first.y + (number - line * size.y) * uniforms.stride;
  return vec3<i32>(select(-1, image, image < uniforms.B), row, col);
}

fn run(workgroup: i32, thread: i32) {
  let firstChannel = (workgroup % uniforms.channelTiles) * ${tile};
  let rest = workgroup / uniforms.channelTiles;
  let firstPixel = (rest % uniforms.pixelTiles) * ${tile};
  let phases = rest / uniforms.pixelTiles;
  let phase = phases % (uniforms.stride * uniforms.stride);
  let part = phases / (uniforms.stride * uniforms.stride);
  let end = min((part + 1) * uniforms.span, uniforms.K);
  let first = vec2<i32>(phase / uniforms.stride, phase % uniforms.stride); // pixel of the phase
  // Taps down and across: these, and every stride-th one after.
  let down = (first.x + uniforms.top) % uniforms.stride;
  let across = (first.y + uniforms.left) % uniforms.stride;
  let lane = thread % ${lanes};
  let line = thread / ${lanes};
  // Four numbers of some pixels and as many channels are what this thread fetches.
  let fetched = thread / ${QUADS};
  let quad = thread % ${QUADS};
  var pixels: array<vec3<i32>, ${fetches}>;
  for (var f = 0; f < ${fetches}; f++) { pixels[f] = pixelAt(firstPixel + fetched + ${threads / QUADS} * f, first); }
  var products = array<vec4<f32>, 4>();
  for (var di = down; di < uniforms.kh; di += uniforms.stride) {
    for (var dj = across; dj < uniforms.kw; dj += uniforms.stride) {
      var positions: array<i32, ${fetches}>; // of dy under the tap; -1 where there is none
      for (var f = 0; f < ${fetches}; f++) {
        let offset = pixels[f].yz + vec2<i32>(uniforms.top - di, uniforms.left - dj);
        let at = offset / uniforms.stride;
        let seen = pixels[f].x >= 0 && all(offset >= vec2<i32>(0)) && all(at < vec2<i32>(uniforms.h, uniforms.w));
        positions[f] = select(-1, (pixels[f].x * uniforms.h + at.x) * uniforms.w + at.y, seen);
      }
      let tap = (di * uniforms.kw + dj) * uniforms.C + firstChannel;
      for (var start = part * uniforms.span; start < end; start += ${DEPTH}) {
        let k = start + quad * 4;
        for (var f = 0; f < ${fetches}; f++) {
          let row = fetched + ${threads / QUADS} * f;
          slopes[row * ${ROW} + quad] = dyAt(positions[f], k, positions[f] >= 0);
          taps[((row % 4) * ${lanes} + row / 4) * ${ROW} + quad] = weightAt(tap + row, k, firstChannel + row < uniforms.C);
        }
        workgroupBarrier();
        for (var four = 0; four < ${QUADS}; four++) {
          let t0 = taps[lane * ${ROW} + four];
          let t1 = taps[(lane + ${lanes}) * ${ROW} + four];
          let t2 = taps[(lane + ${2 * lanes}) * ${ROW} + four];
          let t3 = taps[(lane + ${3 * lanes}) * ${ROW} + four];
          for (var row = 0; row < 4; row++) {
            let a = slopes[(line + ${lanes} * row) * ${ROW} + four];
            products[row] += vec4<f32>(dot(a, t0), dot(a, t1), dot(a, t2), dot(a, t3));
          }
        }
        workgroupBarrier();
      }
    }
  }
  let c = firstChannel + lane * 4;
  for (var row = 0; row < 4; row++) {
    let p = pixelAt(firstPixel + line + ${lanes} * row, first);
    if (p.x >= 0 && c < uniforms.C) {
      let at = (((part * uniforms.B + p.x) * uniforms.H + p.y) * uniforms.W + p.z) * uniforms.C + c;
      ${
        dxInFours
          ? 'sums[at / 4] = products[row];'
          : 'for (var i = 0; i < min(4, uniforms.C - c); i++) { sums[at + i] = products[row][i]; }'
      }
    }
  }
}
${reader('dy', dyInFours)}
${reader('weight', dyInFours)}`,
  };
}

/** `nameAt(row, k, exists)`: four numbers of a row of output channels, from `k`; 0 beyond its end. */
function reader(name: string, inFours: boolean): string {
  return `
fn ${name}At(row: i32, k: i32, exists: bool) -> vec4<f32> {
  var four = vec4<f32>(0);
  ${
    inFours
      ? `if (exists && k < uniforms.K) { four = ${name}[(row * uniforms.K + k) / 4]; }`
      : `if (exists) { for (var i = 0; i < min(4, uniforms.K - k); i++) { four[i] = ${name}[row * uniforms.K + k + i]; } }`
  }
  return four;
}`;
}
