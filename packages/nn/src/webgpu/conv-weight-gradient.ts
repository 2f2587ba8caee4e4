// The filter gradient of a convolution: a product of the patches of x, one row per weight, with dy, over all positions.
// Shapes: B batch, H W input size, h w output size, C input channels, K output channels.
import type * as tf from '@tensorflow/tfjs-core';
import { runKernel, type WebgpuKernel } from './backend';
import { addParts, partsOf, tileFor } from './parts';
import { type Element, type Program, runProgram } from './program';

const KERNEL = 'SgdiffConvWeightGradient';

/** Positions whose numbers are in the workgroup's memory at a time. */
const DEPTH = 16;

export type ConvWeightGradientOptions = {
  /** `[kh, kw]` */
  readonly kernel: readonly [number, number];
  readonly stride: number;
  /** Rows and columns of zeros around x. */
  readonly top: number;
  readonly left: number;
};

/**
 * The gradient of a convolution with respect to its weights. No gradient.
 *
 * @param x `[B, H, W, C]`. @param dy `[B, h, w, K]`.
 * @returns `[kh, kw, C, K]`. The caller disposes it.
 */
export function webgpuConvWeightGradient(x: tf.Tensor4D, dy: tf.Tensor4D, options: ConvWeightGradientOptions): tf.Tensor4D {
  return runKernel(KERNEL, convWeightGradient, { x, dy }, options)[0] as tf.Tensor4D;
}

export const convWeightGradient: WebgpuKernel<ConvWeightGradientOptions> = (backend, inputs, options) => {
  const [x, dy] = [inputs.x!, inputs.dy!];
  const { stride, top, left } = options;
  const [kh, kw] = options.kernel;
  const [, H, W, C] = x.shape as [number, number, number, number];
  const [B, h, w, K] = dy.shape as [number, number, number, number];
  const [rows, positions] = [kh * kw * C, B * h * w];
  const tile = tileFor(K);
  const [rowTiles, columnTiles] = [Math.ceil(rows / tile), Math.ceil(K / tile)];
  const { span, parts } = partsOf(positions, rowTiles * columnTiles, 1);
  const dw = backend.makeTensorInfo([kh, kw, C, K], 'float32');
  const sums = parts === 1 ? dw : backend.makeTensorInfo([parts, rows, K], 'float32');
  runProgram(backend, program(tile, C % 4 === 0, K % 4 === 0), {
    outputs: [sums],
    inputs: [x, dy],
    uniforms: { H, W, C, h, w, K, kw, stride, top, left, rows, positions, span, rowTiles, columnTiles },
    workgroups: rowTiles * columnTiles * parts,
  });
  if (parts > 1) addParts(backend, sums, dw);
  return [dw];
};

/** Each of the threads of a workgroup has 4 × 4 of the weights and channels of a tile. */
function program(tile: number, xInFours: boolean, dyInFours: boolean): Program {
  const lanes = tile / 4;
  const element = (inFours: boolean): Element => (inFours ? 'vec4<f32>' : 'f32');
  return {
    name: `SgdiffConvWeightGradient ${tile} ${xInFours} ${dyInFours}`,
    threads: lanes * lanes,
    outputs: { sums: element(dyInFours) },
    inputs: { x: element(xInFours), dy: element(dyInFours) },
    // prettier-ignore
    uniforms: ['H', 'W', 'C', 'h', 'w', 'K', 'kw', 'stride', 'top', 'left', 'rows', 'positions', 'span', 'rowTiles', 'columnTiles'],
    code: `
var<workgroup> patches: array<array<vec4<f32>, ${lanes}>, ${DEPTH}>;
var<workgroup> slopes: array<array<vec4<f32>, ${lanes}>, ${DEPTH}>;

fn run(workgroup: i32, thread: i32) {
  let lane = thread % ${lanes};
  let line = thread / ${lanes};
  let column = (workgroup % uniforms.columnTiles) * ${tile} + lane * 4;
  let firstRow = (workgroup / uniforms.columnTiles % uniforms.rowTiles) * ${tile};
  let part = workgroup / (uniforms.columnTiles * uniforms.rowTiles);
  let end = min((part + 1) * uniforms.span, uniforms.positions);
  // Which tap of the kernel and which channel the rows are that this thread fetches.
  let rows = firstRow + lane * 4 + vec4<i32>(0, 1, 2, 3);
  let taps = rows / uniforms.C;
  let channels = rows - taps * uniforms.C;
  let down = taps / uniforms.kw;
  let across = taps - down * uniforms.kw;
  var sums = array<vec4<f32>, 4>();
  for (var start = part * uniforms.span; start < end; start += ${DEPTH}) {
    for (var fetched = line; fetched < ${DEPTH}; fetched += ${lanes}) {
      let position = start + fetched;
      var patch4 = vec4<f32>(0);
      var slope = vec4<f32>(0);
      if (position < end) {
        let outputLine = position / uniforms.w;
        let j = position - outputLine * uniforms.w;
        let image = outputLine / uniforms.h;
        let i = outputLine - image * uniforms.h;
        let row = i * uniforms.stride - uniforms.top + down;
        let col = j * uniforms.stride - uniforms.left + across;
        let inside = (row >= vec4<i32>(0)) & (row < vec4<i32>(uniforms.H)) & (col >= vec4<i32>(0))
          & (col < vec4<i32>(uniforms.W)) & (rows < vec4<i32>(uniforms.rows));
        let at = ((image * uniforms.H + row) * uniforms.W + col) * uniforms.C + channels;
        ${
          xInFours
            ? `if (inside.x) { patch4 = x[at.x / 4]; }`
            : `patch4 = vec4<f32>(xAt(at.x, inside.x), xAt(at.y, inside.y), xAt(at.z, inside.z), xAt(at.w, inside.w));`
        }
        let source = position * uniforms.K + column;
        ${
          dyInFours
            ? `if (column < uniforms.K) { slope = dy[source / 4]; }`
            : `for (var k = 0; k < min(4, uniforms.K - column); k++) { slope[k] = dy[source + k]; }`
        }
      }
      patches[fetched][lane] = patch4;
      slopes[fetched][lane] = slope;
    }
    workgroupBarrier();
    for (var depth = 0; depth < ${DEPTH}; depth++) {
      let a = patches[depth][line];
      let b = slopes[depth][lane];
      sums[0] = fma(vec4<f32>(a.x), b, sums[0]);
      sums[1] = fma(vec4<f32>(a.y), b, sums[1]);
      sums[2] = fma(vec4<f32>(a.z), b, sums[2]);
      sums[3] = fma(vec4<f32>(a.w), b, sums[3]);
    }
    workgroupBarrier();
  }
  for (var i = 0; i < 4; i++) { write(part, firstRow + line * 4 + i, column, sums[i]); }
}

fn write(part: i32, row: i32, column: i32, sum: vec4<f32>) {
  if (row >= uniforms.rows || column >= uniforms.K) { return; }
  let at = (part * uniforms.rows + row) * uniforms.K + column;
  ${
    dyInFours
      ? `sums[at / 4] = sum;`
      : `for (var i = 0; i < min(4, uniforms.K - column); i++) { sums[at + i] = sum[i]; }`
  }
}
${xInFours ? '' : 'fn xAt(index: i32, inside: bool) -> f32 { return select(0.0, x[select(0, index, inside)], inside); }'}`,
  };
}
