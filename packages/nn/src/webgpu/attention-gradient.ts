// The gradient of attention: weights are computed anew from the scores, tile by tile (arXiv:2205.14135, algorithm 4).
// Shapes: B batch, N queries, M context tokens, D inner width, h heads, d = D / h width of a head.
import type * as tf from '@tensorflow/tfjs-core';
import type { AttentionAttrs } from './attention';
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
import { runKernel, type WebgpuKernel } from './backend';
import { type Program, runProgram } from './program';

const KERNEL = 'SgdiffAttentionGradient';

/**
 * The gradients of `webgpuAttention` with respect to q, k and v. No gradient.
 *
 * @param dy `[B, N, D]`. @param y `[B, N, D]` and @param lse `[B, h, N]`: what the attention returned.
 * @returns dq `[B, N, D]`, dk and dv `[B, M, D]`. The caller disposes them.
 */
export function webgpuAttentionGradient(
  dy: tf.Tensor3D,
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  mask: tf.Tensor2D | undefined,
  y: tf.Tensor3D,
  lse: tf.Tensor3D,
  heads: number,
): [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D] {
  const inputs = { dy, q, k, v, y, lse };
  return runKernel(KERNEL, kernel, mask ? { ...inputs, mask } : inputs, { heads }) as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
}

const kernel: WebgpuKernel<AttentionAttrs> = (backend, inputs, { heads }) => {
  const { dy, q, k, v, y, lse, mask } = inputs as Record<string, tf.TensorInfo> & { mask?: tf.TensorInfo };
  const [B, N, D] = q!.shape as [number, number, number];
  const M = k!.shape[1]!;
  const d = D / heads;
  const width = headWidth(d);
  const masks = mask ? [mask] : [];
  const sizes = { N, M, D, heads, d, scale: 1 / Math.sqrt(d) };
  const stats = backend.makeTensorInfo([B * heads, N, 2], 'float32');
  runProgram(backend, STATS, {
    outputs: [stats],
    inputs: [dy!, y!, lse!],
    uniforms: { ...sizes, size: B * heads * N },
    workgroups: Math.ceil((B * heads * N) / THREADS),
  });
  const like = ({ shape }: tf.TensorInfo): tf.TensorInfo => backend.makeTensorInfo(shape, 'float32');
  const [dq, dk, dv] = [like(q!), like(k!), like(v!)];
  const queryTiles = Math.ceil(N / TILE);
  runProgram(backend, queryProgram(width, mask !== undefined), {
    outputs: [dq],
    inputs: [q!, k!, v!, dy!, stats, ...masks],
    uniforms: { ...sizes, tiles: queryTiles },
    workgroups: queryTiles * B * heads,
  });
  const contextTiles = Math.ceil(M / TILE);
  runProgram(backend, contextProgram(width, mask !== undefined), {
    outputs: [dk, dv],
    inputs: [q!, k!, v!, dy!, stats, ...masks],
    uniforms: { ...sizes, tiles: contextTiles },
    workgroups: contextTiles * B * heads,
  });
  backend.disposeData(stats.dataId);
  return [dq, dk, dv];
};

/** For each query its lse and the sum of dy y, which is the mean of the slopes of its weights. */
const STATS: Program = {
  name: 'SgdiffAttentionGradient stats',
  threads: THREADS,
  outputs: { stats: 'vec2<f32>' },
  inputs: { dy: 'f32', y: 'f32', lse: 'f32' },
  uniforms: ['N', 'D', 'heads', 'd', 'size'],
  code: `
fn run(workgroup: i32, thread: i32) {
  let index = workgroup * ${THREADS} + thread;
  if (index >= uniforms.size) { return; }
  // Heads of a query side by side: threads read neighbouring channels.
  let head = index % uniforms.heads;
  let token = index / uniforms.heads;
  let batch = token / uniforms.N;
  let start = token * uniforms.D + head * uniforms.d;
  var sum = 0.0;
  for (var i = 0; i < uniforms.d; i++) { sum += dy[start + i] * y[start + i]; }
  let at = (batch * uniforms.heads + head) * uniforms.N + token % uniforms.N;
  stats[at] = vec2<f32>(lse[at], sum);
}`,
};

const QUERIES = { start: 'queryStart', tokens: 'uniforms.N' };
const CONTEXT = { start: 'contextStart', tokens: 'uniforms.M' };

function declarations(width: HeadWidth, masked: boolean): string {
  return `
${TILES}
${['q', 'k', 'v', 'dy'].map((name) => reader(name, width)).join('\n')}
${openTokens(masked)}`;
}

/** Where a tile and the buffers of its head begin. */
function beginning(first: string): string {
  return `
  let line = thread / 8;
  let lane = thread % 8;
  let ${first} = (workgroup % uniforms.tiles) * ${TILE};
  let image = workgroup / uniforms.tiles;
  let batch = image / uniforms.heads;
  let channel = (image % uniforms.heads) * uniforms.d;
  let queryStart = batch * uniforms.N * uniforms.D + channel;
  let contextStart = batch * uniforms.M * uniforms.D + channel;`;
}

function inputsOf(width: HeadWidth, masked: boolean): Program['inputs'] {
  const tokens = tokenElement(width);
  return { q: tokens, k: tokens, v: tokens, dy: tokens, stats: 'vec2<f32>', ...(masked && { mask: 'f32' }) };
}

/** dq of a tile of queries, over the tiles of the context. */
function queryProgram(width: HeadWidth, masked: boolean): Program {
  const chunks = chunksOf(width);
  const product = (sums: string, left: string, right: string): string =>
    chunks
      .map(
        (chunk) => `
    ${loadLeft(left, QUERIES, 'query', chunk, width)}
    ${loadRight(right, CONTEXT, 'key', chunk, width)}
    workgroupBarrier();
    ${addProduct(sums, chunk, width)}
    workgroupBarrier();`,
      )
      .join('\n');
  return {
    name: `SgdiffAttentionGradient queries ${width.quads} ${width.inFours} ${masked}`,
    threads: THREADS,
    outputs: { dq: tokenElement(width) },
    inputs: inputsOf(width, masked),
    uniforms: [...TOKEN_UNIFORMS, 'tiles'],
    floatUniforms: ['scale'],
    code: `
${declarations(width, masked)}
${writer('dq', width)}

fn run(workgroup: i32, thread: i32) {
  ${beginning('query')}
  var ofRows: array<vec2<f32>, 4>;
  ${forRows(`ofRows[i] = stats[image * uniforms.N + min(query + row, uniforms.N - 1)];`)}
  ${chunks.map((chunk) => declareSums(`dq${chunk}`)).join('\n')}
  for (var key = 0; key < uniforms.M; key += ${TILE}) {
    ${declareSums('slopes')}
    ${product('slopes', 'dy', 'v')}
    ${declareSums('scores')}
    ${product('scores', 'q', 'k')}
    let open = areOpen(batch, key + 4 * lane);
    ${masked ? 'let barred = bars(batch, key + 4 * lane);' : ''}
    ${forRows(`
      let p = select(vec4<f32>(0), exp(scores[i] * uniforms.scale${masked ? ' + barred' : ''} - ofRows[i].x), open);
      weights[row * ${ROW} + lane] = p * (slopes[i] - ofRows[i].y);`)}
    ${chunks
      .map(
        (chunk) => `
    ${chunks.length === 1 ? '' : loadRight('k', CONTEXT, 'key', chunk, width)}
    workgroupBarrier();
    ${addMix(`dq${chunk}`)}
    workgroupBarrier();`,
      )
      .join('\n')}
  }
  ${chunks.map((chunk) => writeSums('dq', `dq${chunk}`, 'uniforms.scale', QUERIES, 'query', chunk, width)).join('\n')}
}`,
  };
}

/** dk and dv of a tile of the context, over the tiles of queries. */
function contextProgram(width: HeadWidth, masked: boolean): Program {
  const chunks = chunksOf(width);
  const stays = chunks.length === 1; // what the product before had on the right
  const product = (sums: string, left: string, right: string): string =>
    chunks
      .map(
        (chunk) => `
    ${loadLeft(left, CONTEXT, 'key', chunk, width)}
    ${loadRight(right, QUERIES, 'query', chunk, width)}
    workgroupBarrier();
    ${addProduct(sums, chunk, width)}
    workgroupBarrier();`,
      )
      .join('\n');
  const mix = (sums: string, right: string, isThere: boolean): string =>
    chunks
      .map(
        (chunk) => `
    ${isThere ? '' : loadRight(right, QUERIES, 'query', chunk, width)}
    workgroupBarrier();
    ${addMix(`${sums}${chunk}`)}
    workgroupBarrier();`,
      )
      .join('\n');
  return {
    name: `SgdiffAttentionGradient context ${width.quads} ${width.inFours} ${masked}`,
    threads: THREADS,
    outputs: { dk: tokenElement(width), dv: tokenElement(width) },
    inputs: inputsOf(width, masked),
    uniforms: [...TOKEN_UNIFORMS, 'tiles'],
    floatUniforms: ['scale'],
    code: `
${declarations(width, masked)}
${writer('dk', width)}
${writer('dv', width)}

fn run(workgroup: i32, thread: i32) {
  ${beginning('key')}
  ${chunks.map((chunk) => `${declareSums(`dk${chunk}`)} ${declareSums(`dv${chunk}`)}`).join('\n')}
  for (var query = 0; query < uniforms.N; query += ${TILE}) {
    let tokens = query + 4 * lane + vec4<i32>(0, 1, 2, 3);
    let exists = tokens < vec4<i32>(uniforms.N);
    let at = image * uniforms.N + min(tokens, vec4<i32>(uniforms.N - 1));
    let stats0 = stats[at.x];
    let stats1 = stats[at.y];
    let stats2 = stats[at.z];
    let stats3 = stats[at.w];
    let lse = vec4<f32>(stats0.x, stats1.x, stats2.x, stats3.x);
    let mean = vec4<f32>(stats0.y, stats1.y, stats2.y, stats3.y);
    ${declareSums('scores')}
    ${product('scores', 'k', 'q')}
    ${forRows(`
      let p = select(vec4<f32>(0), exp(scores[i] * uniforms.scale${masked ? ' + bar(batch, key + row)' : ''} - lse), exists & vec4<bool>(isOpen(batch, key + row)));
      scores[i] = p;
      weights[row * ${ROW} + lane] = p;`)}
    ${declareSums('slopes')}
    ${product('slopes', 'v', 'dy')}
    ${mix('dv', 'dy', stays)}
    ${forRows(`weights[row * ${ROW} + lane] = scores[i] * (slopes[i] - mean);`)}
    ${mix('dk', 'q', false)}
  }
  ${chunks
    .map(
      (chunk) => `
  ${writeSums('dk', `dk${chunk}`, 'uniforms.scale', CONTEXT, 'key', chunk, width)}
  ${writeSums('dv', `dv${chunk}`, '1', CONTEXT, 'key', chunk, width)}`,
    )
    .join('\n')}
}`,
  };
}
