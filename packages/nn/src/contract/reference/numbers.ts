/** Numbers in float64 with their shape, row by row. */
export type Numbers = { readonly shape: readonly number[]; readonly data: Float64Array };

export function zeros(...shape: number[]): Numbers {
  return { shape, data: new Float64Array(sizeOf(shape)) };
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, n) => size * n, 1);
}

/** `f` of each number. */
export function mapNumbers(x: Numbers, f: (value: number, index: number) => number): Numbers {
  return { shape: x.shape, data: x.data.map(f) };
}
