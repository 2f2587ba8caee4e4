// What the attention programs are built of. A workgroup of 8 × 8 threads works on tiles of 32 tokens; the width of a head
// is cut into chunks of 32 channels, so that three tiles (left, right, weights) fit its memory whatever the width.
// Thread (line, lane) has the rows line + 8 i, i = 0…3, of a tile, and of them the tokens, or the channels, from 4 lane to
// 4 lane + 3.
// Shapes: B batch, N queries, M context tokens, D inner width, h heads, d = D / h width of a head.

import type { Element } from './program';

export const TILE = 32;
export const THREADS = 64;
const CHUNK_QUADS = 8;
/** A row of a tile in vec4s: one more than its 8, so that rows begin in different banks of the memory. */
export const ROW = 9;

/** Width of a head as far as programs depend on it. */
export type HeadWidth = {
  /** Fours of channels; the last may be incomplete. */
  readonly quads: number;
  /** Whether heads begin at multiples of 4, so that buffers can be read in fours. */
  readonly inFours: boolean;
};

export function headWidth(d: number): HeadWidth {
  return { quads: Math.ceil(d / 4), inFours: d % 4 === 0 };
}

/** Element of the buffers of tokens, `[B, N, D]` and `[B, M, D]`. */
export function tokenElement({ inFours }: HeadWidth): Element {
  return inFours ? 'vec4<f32>' : 'f32';
}

/** Numbers that every program here needs. */
export const TOKEN_UNIFORMS = ['N', 'M', 'D', 'heads', 'd'] as const;

export function chunksOf({ quads }: HeadWidth): number[] {
  return Array.from({ length: Math.ceil(quads / CHUNK_QUADS) }, (_, chunk) => chunk);
}

/** Code for each row of a thread, `row` in the tile, `i` of the thread. */
export function forRows(code: string): string {
  return `for (var i = 0; i < 4; i++) { let row = line + 8 * i; ${code} }`;
}

export const TILES = `
var<workgroup> left: array<vec4<f32>, ${TILE * ROW}>;
var<workgroup> right: array<vec4<f32>, ${TILE * ROW}>;
var<workgroup> weights: array<vec4<f32>, ${TILE * ROW}>;`;

/** `nameAt(start, token, tokens, quad)`: four channels of a token from where the head of an image begins; 0 beyond the end. */
export function reader(name: string, { inFours }: HeadWidth): string {
  if (inFours) {
    return `
fn ${name}At(start: i32, token: i32, tokens: i32, quad: i32) -> vec4<f32> {
  if (token >= tokens) { return vec4<f32>(0); }
  return ${name}[(start + token * uniforms.D) / 4 + quad];
}`;
  }
  return `
fn ${name}At(start: i32, token: i32, tokens: i32, quad: i32) -> vec4<f32> {
  var four = vec4<f32>(0);
  if (token >= tokens) { return four; }
  for (var i = 0; i < min(4, uniforms.d - quad * 4); i++) { four[i] = ${name}[start + token * uniforms.D + quad * 4 + i]; }
  return four;
}`;
}

/** `nameWrite(start, token, tokens, quad, four)`: the counterpart of `reader`. */
export function writer(name: string, { inFours }: HeadWidth): string {
  const write = inFours
    ? `${name}[(start + token * uniforms.D) / 4 + quad] = four;`
    : `for (var i = 0; i < min(4, uniforms.d - quad * 4); i++) { ${name}[start + token * uniforms.D + quad * 4 + i] = four[i]; }`;
  return `
fn ${name}Write(start: i32, token: i32, tokens: i32, quad: i32, four: vec4<f32>) {
  if (token < tokens) { ${write} }
}`;
}

/** Fills the left tile with a chunk of the tokens from `first`; `range` is `start, tokens` of the reader. */
export function loadLeft(name: string, range: Range, first: string, chunk: number, width: HeadWidth): string {
  return load('left', 'row', name, range, first, chunk, width);
}

/** Fills the right tile: token t in row 8 (t mod 4) + t / 4, so that threads side by side read rows side by side. */
export function loadRight(name: string, range: Range, first: string, chunk: number, width: HeadWidth): string {
  return load('right', '((row % 4) * 8 + row / 4)', name, range, first, chunk, width);
}

export type Range = { readonly start: string; readonly tokens: string };

function load(tile: string, at: string, name: string, range: Range, first: string, chunk: number, width: HeadWidth): string {
  const quad = `${chunk * CHUNK_QUADS} + lane`;
  return `
if (lane < ${quadsIn(chunk, width)}) {
  ${forRows(`${tile}[${at} * ${ROW} + lane] = ${name}At(${range.start}, ${first} + row, ${range.tokens}, ${quad});`)}
}`;
}

/** Adds left · rightᵀ over a chunk to `sums`, each of a row with four tokens. */
export function addProduct(sums: string, chunk: number, width: HeadWidth): string {
  return `
for (var quad = 0; quad < ${quadsIn(chunk, width)}; quad++) {
  let t0 = right[lane * ${ROW} + quad];
  let t1 = right[(lane + 8) * ${ROW} + quad];
  let t2 = right[(lane + 16) * ${ROW} + quad];
  let t3 = right[(lane + 24) * ${ROW} + quad];
  ${forRows(`
    let a = left[row * ${ROW} + quad];
    ${sums}[i] += vec4<f32>(dot(a, t0), dot(a, t1), dot(a, t2), dot(a, t3));`)}
}`;
}

/** Adds weights · right to `sums`, each of a row with four channels of the chunk that is on the right. */
export function addMix(sums: string): string {
  return `
for (var four = 0; four < ${TILE / 4}; four++) {
  let t0 = right[four * ${ROW} + lane];
  let t1 = right[(four + 8) * ${ROW} + lane];
  let t2 = right[(four + 16) * ${ROW} + lane];
  let t3 = right[(four + 24) * ${ROW} + lane];
  ${forRows(`
    let w = weights[row * ${ROW} + four];
    ${sums}[i] += w.x * t0 + w.y * t1 + w.z * t2 + w.w * t3;`)}
}`;
}

export function declareSums(sums: string): string {
  return `var ${sums} = array<vec4<f32>, 4>();`;
}

/** Writes the sums of a chunk, scaled. */
export function writeSums(
  name: string,
  sums: string,
  factor: string,
  range: Range,
  first: string,
  chunk: number,
  width: HeadWidth,
): string {
  const quad = `${chunk * CHUNK_QUADS} + lane`;
  return `
if (lane < ${quadsIn(chunk, width)}) {
  ${forRows(`${name}Write(${range.start}, ${first} + row, ${range.tokens}, ${quad}, ${sums}[i] * ${factor});`)}
}`;
}

/**
 * `isOpen(batch, key)`: whether a context token exists and may be attended to; `bar(batch, key)`: what the mask adds to the score
 * of one that is, its logarithm; `areOpen` and `bars`: the four from `key`.
 */
export function openTokens(masked: boolean): string {
  return `
fn isOpen(batch: i32, key: i32) -> bool {
  ${masked ? 'return key < uniforms.M && mask[batch * uniforms.M + key] > 0.0;' : 'return key < uniforms.M;'}
}
fn areOpen(batch: i32, key: i32) -> vec4<bool> {
  return vec4<bool>(isOpen(batch, key), isOpen(batch, key + 1), isOpen(batch, key + 2), isOpen(batch, key + 3));
}
${
  masked
    ? `
fn bar(batch: i32, key: i32) -> f32 {
  if (!isOpen(batch, key)) { return 0.0; }
  let share = mask[batch * uniforms.M + key];
  return select(log(share), 0.0, share == 1.0);
}
fn bars(batch: i32, key: i32) -> vec4<f32> {
  return vec4<f32>(bar(batch, key), bar(batch, key + 1), bar(batch, key + 2), bar(batch, key + 3));
}`
    : ''
}`;
}

function quadsIn(chunk: number, { quads }: HeadWidth): number {
  return Math.min(CHUNK_QUADS, quads - chunk * CHUNK_QUADS);
}
