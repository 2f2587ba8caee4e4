// Attention without the matrix of scores: tile by tile, with a running maximum and sum for each query (arXiv:2205.14135).
// Shapes: B batch, N queries, M context tokens, D inner width, h heads, d = D / h width of a head.
import type * as tf from '@tensorflow/tfjs-core';
import {
  addMix,
  addProduct,
  chunksOf,
  declareSums,
  forRows,
  headWidth,
  type HeadWidth,
  loadLeft,
  loadRight,
  openTokens,
  reader,
  ROW,
  THREADS,
  TILE,
  TILES,
  TOKEN_UNIFORMS,
  tokenElement,
  writer,
  writeSums,
} from './attention-tiles';
import { hasWebgpu, runKernel, type WebgpuKernel } from './backend';
import { type Program, runProgram } from './program';

const KERNEL = 'SgdiffAttention';

/** Beyond it, the sums of a thread no longer fit its registers. */
const WIDEST_HEAD = 160;

/** Whether the programs here can be used for heads of this width. */
export function hasWebgpuAttention(headWidth: number): boolean {
  return hasWebgpu() && headWidth <= WIDEST_HEAD;
}

export type AttentionAttrs = { readonly heads: number };

/**
 * softmax(q kᵀ / sqrt(d) + log mask) v for each head. No gradient.
 *
 * @param q `[B, N, D]`. @param k `[B, M, D]`. @param v `[B, M, D]`. @param mask `[B, M]`: factors of the weights, 0 = ignore.
 * @returns y `[B, N, D]`, zeros where nothing may be attended to, and lse `[B, h, N]`, the logarithm of the sum of
 *   exponentials of the scaled scores. The caller disposes both.
 */
export function webgpuAttention(
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  mask: tf.Tensor2D | undefined,
  heads: number,
): { y: tf.Tensor3D; lse: tf.Tensor3D } {
  const [y, lse] = runKernel(KERNEL, kernel, mask ? { q, k, v, mask } : { q, k, v }, { heads });
  return { y: y as tf.Tensor3D, lse: lse as tf.Tensor3D };
}

const kernel: WebgpuKernel<AttentionAttrs> = (backend, { q, k, v, mask }, { heads }) => {
  const [B, N, D] = q!.shape as [number, number, number];
  const M = k!.shape[1]!;
  const d = D / heads;
  const y = backend.makeTensorInfo([B, N, D], 'float32');
  const lse = backend.makeTensorInfo([B, heads, N], 'float32');
  const tiles = Math.ceil(N / TILE);
  runProgram(backend, program(headWidth(d), mask !== undefined), {
    outputs: [y, lse],
    inputs: mask ? [q!, k!, v!, mask] : [q!, k!, v!],
    uniforms: { N, M, D, heads, d, tiles, scale: 1 / Math.sqrt(d) },
    workgroups: tiles * B * heads,
  });
  return [y, lse];
};

function program(width: HeadWidth, masked: boolean): Program {
  const tokens = tokenElement(width);
  const chunks = chunksOf(width);
  const queries = { start: 'queryStart', tokens: 'uniforms.N' };
  const context = { start: 'contextStart', tokens: 'uniforms.M' };
  const loadQueries = (chunk: number): string => loadLeft('q', queries, 'query', chunk, width);
  const stays = chunks.length === 1; // the queries are in the workgroup's memory all the time
  return {
    name: `SgdiffAttention ${width.quads} ${width.inFours} ${masked}`,
    threads: THREADS,
    outputs: { y: tokens, lse: 'f32' },
    inputs: { q: tokens, k: tokens, v: tokens, ...(masked && { mask: 'f32' }) },
    uniforms: [...TOKEN_UNIFORMS, 'tiles'],
    floatUniforms: ['scale'],
    code: `
${TILES}
var<workgroup> ofLanes: array<f32, ${TILE * 8}>;
${['q', 'k', 'v'].map((name) => reader(name, width)).join('\n')}
${writer('y', width)}
${openTokens(masked)}

fn run(workgroup: i32, thread: i32) {
  let line = thread / 8;
  let lane = thread % 8;
  let query = (workgroup % uniforms.tiles) * ${TILE};
  let image = workgroup / uniforms.tiles;
  let batch = image / uniforms.heads;
  let channel = (image % uniforms.heads) * uniforms.d;
  let queryStart = batch * uniforms.N * uniforms.D + channel;
  let contextStart = batch * uniforms.M * uniforms.D + channel;
  var highest = array<f32, 4>(-1e30, -1e30, -1e30, -1e30);
  var sums: array<f32, 4>; // of the exponentials of this thread's tokens alone
  ${chunks.map((chunk) => declareSums(`mix${chunk}`)).join('\n')}
  ${stays ? loadQueries(0) : ''}
  for (var key = 0; key < uniforms.M; key += ${TILE}) {
    ${declareSums('scores')}
    ${chunks
      .map(
        (chunk) => `
    ${stays ? '' : loadQueries(chunk)}
    ${loadRight('k', context, 'key', chunk, width)}
    workgroupBarrier();
    ${addProduct('scores', chunk, width)}
    workgroupBarrier();`,
      )
      .join('\n')}
    let open = areOpen(batch, key + 4 * lane);
    ${masked ? 'let barred = bars(batch, key + 4 * lane);' : ''}
    ${forRows(`
      let s = select(vec4<f32>(-1e30), scores[i] * uniforms.scale${masked ? ' + barred' : ''}, open);
      scores[i] = s;
      ofLanes[row * 8 + lane] = max(max(s.x, s.y), max(s.z, s.w));`)}
    workgroupBarrier();
    ${forRows(`
      let before = highest[i];
      var most = before;
      for (var j = 0; j < 8; j++) { most = max(most, ofLanes[row * 8 + j]); }
      let p = select(vec4<f32>(0), exp(scores[i] - most), open);
      let faded = exp(before - most);
      weights[row * ${ROW} + lane] = p;
      sums[i] = sums[i] * faded + p.x + p.y + p.z + p.w;
      highest[i] = most;
      ${chunks.map((chunk) => `mix${chunk}[i] *= faded;`).join(' ')}`)}
    ${chunks
      .map(
        (chunk) => `
    ${loadRight('v', context, 'key', chunk, width)}
    workgroupBarrier();
    ${addMix(`mix${chunk}`)}
    workgroupBarrier();`,
      )
      .join('\n')}
  }
  ${forRows(`ofLanes[row * 8 + lane] = sums[i];`)}
  workgroupBarrier();
  ${forRows(`
    var total = 0.0;
    for (var j = 0; j < 8; j++) { total += ofLanes[row * 8 + j]; }
    total = select(total, 1.0, total == 0.0); // where nothing may be attended to: zeros over one
    sums[i] = total;
    if (lane == 0 && query + row < uniforms.N) { lse[image * uniforms.N + query + row] = highest[i] + log(total); }`)}
  ${chunks.map((chunk) => writeSums('y', `mix${chunk}`, '(1 / sums[i])', queries, 'query', chunk, width)).join('\n')}
}`,
  };
}
