import { fromFloat16, fromLayout, shapeInLayout, toFloat16, type StateDict, type StoredDtype } from '@sgdiff/nn';
import { ImportError } from './import-error';
import type { PlannedTensor } from './import-plan';

export const PRECISIONS = ['fp16', 'fp32'] as const;
export type Precision = (typeof PRECISIONS)[number];

/**
 * One weight of a plan as we hold it: float32, row-major in our shape, whatever type and layout the file has.
 *
 * @param file The file that was planned.
 * @throws ImportError `not_finite` naming the tensor if a number is not finite; what `file.read` throws.
 */
export async function readTensor(file: StateDict, { path, shape, source }: PlannedTensor): Promise<Float32Array> {
  const { name, layout, rows } = source;
  const entry = file.tensors.get(name);
  if (!entry)
    throw new TypeError(`readTensor: ${file.name} has no tensor "${name}". Was it planned from another file?`);
  let values = toFloat32(await file.read(name), entry.dtype);
  if (rows) {
    const rowSize = shapeInLayout(shape, layout)
      .slice(1)
      .reduce((product, n) => product * n, 1);
    values = values.subarray(rows[0] * rowSize, rows[1] * rowSize);
  }
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    throw new ImportError(
      `${file.name}: "${name}" (here "${path}") holds ${values[i]} at ${i}, expected finite numbers. ` +
        'The weights are damaged, or training had failed: take another checkpoint.',
      { code: 'not_finite' },
    );
  }
  return fromLayout(values, shape, layout);
}

/**
 * The bytes of a weight as they go into a safetensors file.
 *
 * @param path For messages.
 * @throws ImportError `overflow` naming the tensor if a number is too large for half precision.
 */
export function tensorBytes(values: Float32Array, precision: Precision, path: string): Uint8Array {
  if (precision === 'fp32') return bytesOf(values);
  const halves = toFloat16(values);
  for (let i = 0; i < halves.length; i++) {
    if ((halves[i]! & 0x7fff) !== 0x7c00) continue;
    throw new ImportError(
      `"${path}" holds ${values[i]} at ${i}, but half precision ends at 65504. Import with --precision fp32.`,
      { code: 'overflow' },
    );
  }
  return bytesOf(halves);
}

/** Numbers of any stored type as float32. */
function toFloat32(bytes: Uint8Array, dtype: StoredDtype): Float32Array {
  // Typed arrays need an aligned start.
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes); // the slice of a Node Buffer is a view
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case 'F16':
      return fromFloat16(new Uint16Array(buffer, byteOffset, byteLength / 2));
    case 'BF16': {
      // The upper half of a float32.
      const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
      const words = new Uint32Array(halves.length);
      for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
      return new Float32Array(words.buffer);
    }
    case 'F64':
      return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer, byteOffset, byteLength / 8), Number);
    case 'I32':
      return Float32Array.from(new Int32Array(buffer, byteOffset, byteLength / 4));
    case 'I16':
      return Float32Array.from(new Int16Array(buffer, byteOffset, byteLength / 2));
    case 'I8':
      return Float32Array.from(new Int8Array(buffer, byteOffset, byteLength));
    case 'U8':
    case 'BOOL':
      return Float32Array.from(new Uint8Array(buffer, byteOffset, byteLength));
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
