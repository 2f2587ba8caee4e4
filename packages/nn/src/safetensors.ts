import * as tf from '@tensorflow/tfjs-core';
import { fromFloat16, toFloat16 } from './float16';
import {
  DTYPE_BYTES,
  encodeSafetensorsHeader,
  formatError,
  headerJsonBytes,
  parseSafetensorsHeader,
  sizeOf,
} from './safetensors-header';
import type { StoredDtype } from './tensor-source';
import { flattenParams, type ParamTree } from './tree';

/** One array of a safetensors file. F16 data are the raw half-precision bits. */
export type SafeTensor =
  | { readonly dtype: 'F32'; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: 'F16'; readonly shape: readonly number[]; readonly data: Uint16Array }
  | { readonly dtype: 'I32'; readonly shape: readonly number[]; readonly data: Int32Array };

/** The types whose values can become a tensor, and the arrays that hold them. */
export const TYPES = ['F32', 'F16', 'I32'] as const satisfies readonly StoredDtype[];
export const ARRAYS = { F32: Float32Array, F16: Uint16Array, I32: Int32Array } as const;

/**
 * The bytes of a safetensors file.
 *
 * @throws CheckpointError if the data do not fill a shape.
 * @see https://github.com/huggingface/safetensors#format
 */
export function encodeSafetensors(
  tensors: Readonly<Record<string, SafeTensor>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  // Wide types first, so that every array starts at a multiple of its element size.
  const entries = Object.entries(tensors)
    .map(([name, tensor]) => ({ name, ...tensor }))
    .sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype]);
  for (const { name, shape, data } of entries) {
    if (data.length !== sizeOf(shape)) {
      throw formatError(`encodeSafetensors: "${name}" has ${data.length} values, expected [${shape.join(', ')}].`);
    }
  }
  const header = encodeSafetensorsHeader(entries, metadata);
  const bytes = new Uint8Array(entries.reduce((sum, { data }) => sum + data.byteLength, header.length));
  bytes.set(header);
  let at = header.length;
  for (const { data } of entries) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/**
 * The arrays and the metadata of a safetensors file. Copies, so that nothing holds on to `bytes`.
 *
 * @throws CheckpointError if the bytes are cut off or not of this format, or hold a type other than F32, F16, I32.
 */
export function decodeSafetensors(bytes: Uint8Array): {
  tensors: Record<string, SafeTensor>;
  metadata: Record<string, string>;
} {
  const where = 'decodeSafetensors';
  const dataStart = 8 + headerJsonBytes(where, bytes.subarray(0, 8), bytes.length);
  const json = bytes.subarray(8, dataStart);
  const { entries, metadata } = parseSafetensorsHeader(where, json, TYPES, bytes.length - dataStart);
  const tensors = Object.create(null) as Record<string, SafeTensor>;
  for (const { name, dtype, shape, from, to } of entries) {
    // Not bytes.slice: on a Node Buffer that is a view of the whole file.
    const copy = new Uint8Array(bytes.subarray(dataStart + from, dataStart + to)).buffer;
    tensors[name] = { dtype, shape, data: new ARRAYS[dtype as (typeof TYPES)[number]](copy) } as SafeTensor;
  }
  return { tensors, metadata };
}

/** The weights of a tree as safetensors bytes; the key path is the name. */
export async function paramsToSafetensors(
  params: ParamTree,
  options: { readonly dtype: 'F32' | 'F16'; readonly metadata?: Readonly<Record<string, string>> },
): Promise<Uint8Array> {
  const record = Object.create(null) as Record<string, SafeTensor>;
  for (const { path, tensor } of flattenParams(params)) {
    const { shape } = tensor;
    const values = await tensor.data();
    if (tensor.dtype === 'int32') record[path] = { dtype: 'I32', shape, data: Int32Array.from(values) };
    else if (options.dtype === 'F32') record[path] = { dtype: 'F32', shape, data: Float32Array.from(values) };
    else record[path] = { dtype: 'F16', shape, data: toFloat16(Float32Array.from(values)) };
  }
  return encodeSafetensors(record, options.metadata);
}

/**
 * The tensors of a safetensors file by name; half precision becomes float32. The caller disposes them.
 *
 * @throws CheckpointError as `decodeSafetensors`.
 */
export function paramsFromSafetensors(bytes: Uint8Array): Record<string, tf.Tensor> {
  const { tensors } = decodeSafetensors(bytes);
  const record = Object.create(null) as Record<string, tf.Tensor>;
  for (const [name, tensor] of Object.entries(tensors)) record[name] = toTensor(tensor);
  return record;
}

/** One array of a file as a tensor; half precision becomes float32. The caller disposes it. */
export function toTensor({ dtype, shape, data }: SafeTensor): tf.Tensor {
  if (dtype === 'I32') return tf.tensor(data, [...shape], 'int32');
  return tf.tensor(dtype === 'F16' ? fromFloat16(data) : data, [...shape], 'float32');
}
