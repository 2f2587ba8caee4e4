/** One weight of a model: where it is in our tree, and its shape in our layout (convolutions HWIO, linear [in, out]). */
export type TensorEntry = { readonly path: string; readonly shape: readonly number[] };

/**
 * How another framework (PyTorch) stores a weight: `same` as here, a `linear` layer as [out, in], a `conv`olution as OIHW.
 */
export type SourceLayout = 'same' | 'linear' | 'conv';

/** Where a weight of ours stands in another framework's file. */
export type TensorSource = {
  readonly name: string;
  readonly layout: SourceLayout;
  /** Which rows (first axis, as stored) belong to it, from first up to but not including last; all if left out. */
  readonly rows?: readonly [first: number, last: number];
};

/** Element types of weight files, in the words of safetensors. */
export type StoredDtype = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

/** A file of named tensors of which one at a time is read: safetensors, PyTorch. */
export type StateDict = {
  /** For messages: path or URL of the file. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, { readonly dtype: StoredDtype; readonly shape: readonly number[] }>;
  /** Bytes of one tensor in its own type: contiguous, row-major, little-endian. The caller owns them. */
  read(tensor: string): Promise<Uint8Array>;
  /** Lets go of the file; twice without harm. */
  close(): Promise<void>;
};

/** The shape that a weight of ours has in the other layout. */
export function shapeInLayout(shape: readonly number[], layout: SourceLayout): number[] {
  const [a, b, c, d] = shape as [number, number, number, number];
  if (layout === 'linear' && shape.length === 2) return [b, a];
  if (layout === 'conv' && shape.length === 4) return [d, c, a, b];
  if (layout === 'same') return [...shape];
  throw new TypeError(`shapeInLayout: layout "${layout}" has no shape of rank ${shape.length}.`);
}

/**
 * Values from another framework's layout in ours.
 *
 * @param values Row-major in the layout.
 * @param shape The weight's shape here. @param layout How `values` are stored.
 * @returns Row-major in `shape`; for `same` the array itself.
 * @throws TypeError if there are more or fewer values than the shape holds.
 */
export function fromLayout(values: Float32Array, shape: readonly number[], layout: SourceLayout): Float32Array {
  const size = shape.reduce((product, n) => product * n, 1);
  if (values.length !== size) {
    throw new TypeError(`fromLayout: expected ${size} values for [${shape.join(', ')}], received ${values.length}.`);
  }
  if (layout === 'same') return values;
  const stored = shapeInLayout(shape, layout);
  const out = new Float32Array(size);
  const outer = stored[0]!; // out channels
  const inner = stored[1]!; // in channels
  const taps = layout === 'conv' ? stored[2]! * stored[3]! : 1; // kernel positions, row-major in both
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const from = (o * inner + i) * taps;
      for (let k = 0; k < taps; k++) out[(k * inner + i) * outer + o] = values[from + k]!;
    }
  }
  return out;
}
