import * as tf from '@tensorflow/tfjs-core';
import { CheckpointError } from './errors';
import { fromFloat16, toFloat16 } from './float16';
import { flattenParams, type ParamTree } from './tree';

/** One array of a safetensors file. F16 data are the raw half-precision bits. */
export type SafeTensor =
  | { readonly dtype: 'F32'; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: 'F16'; readonly shape: readonly number[]; readonly data: Uint16Array }
  | { readonly dtype: 'I32'; readonly shape: readonly number[]; readonly data: Int32Array };

const BYTES = { F32: 4, F16: 2, I32: 4 } as const;
const ARRAYS = { F32: Float32Array, F16: Uint16Array, I32: Int32Array } as const;

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
  const header: Record<string, unknown> = {};
  if (metadata) header.__metadata__ = metadata;
  // Wide types first, so that every array starts at a multiple of its element size.
  const entries = Object.entries(tensors).sort(([, a], [, b]) => BYTES[b.dtype] - BYTES[a.dtype]);
  let end = 0;
  for (const [name, { dtype, shape, data }] of entries) {
    if (data.length !== sizeOf(shape)) {
      throw formatError(`encodeSafetensors: "${name}" has ${data.length} values, expected [${shape.join(', ')}].`);
    }
    header[name] = { dtype, shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerSize = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + headerSize + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerSize), true);
  bytes.fill(0x20, 8 + json.length, 8 + headerSize); // the format pads with spaces
  bytes.set(json, 8);
  let at = 8 + headerSize;
  for (const [, { data }] of entries) {
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
  const header = parseHeader(bytes);
  const tensors: Record<string, SafeTensor> = {};
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header.entries)) {
    if (name === '__metadata__') metadata = parseMetadata(value);
    else tensors[name] = parseTensor(name, value, bytes, header.dataStart);
  }
  return { tensors, metadata };
}

/** The weights of a tree as safetensors bytes; the key path is the name. */
export async function paramsToSafetensors(
  params: ParamTree,
  options: { readonly dtype: 'F32' | 'F16'; readonly metadata?: Readonly<Record<string, string>> },
): Promise<Uint8Array> {
  const record: Record<string, SafeTensor> = {};
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
  const record: Record<string, tf.Tensor> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const shape = [...tensor.shape];
    if (tensor.dtype === 'I32') record[name] = tf.tensor(tensor.data, shape, 'int32');
    else record[name] = tf.tensor(tensor.dtype === 'F16' ? fromFloat16(tensor.data) : tensor.data, shape, 'float32');
  }
  return record;
}

function parseHeader(bytes: Uint8Array): { entries: object; dataStart: number } {
  if (bytes.length < 8) throw formatError(`decodeSafetensors: expected at least 8 bytes, received ${bytes.length}.`);
  const size = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  const dataStart = 8 + Number(size);
  if (dataStart > bytes.length) {
    throw formatError(
      `decodeSafetensors: the header says ${size} bytes but the file has ${bytes.length}. Is it cut off, or another format?`,
    );
  }
  try {
    const entries: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, dataStart)));
    if (entries === null || typeof entries !== 'object' || Array.isArray(entries)) throw new Error('not an object');
    return { entries, dataStart };
  } catch (cause) {
    throw formatError('decodeSafetensors: expected a JSON object as header. Is the file of another format?', cause);
  }
}

function parseMetadata(value: unknown): Record<string, string> {
  if (value === null || typeof value !== 'object' || Object.values(value).some((text) => typeof text !== 'string')) {
    throw formatError('decodeSafetensors: expected __metadata__ to map strings to strings.');
  }
  return value as Record<string, string>;
}

function parseTensor(name: string, value: unknown, bytes: Uint8Array, dataStart: number): SafeTensor {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'I32') {
    throw formatError(
      `decodeSafetensors: "${name}" has type ${String(dtype)}, expected F32, F16 or I32. Convert it first.`,
    );
  }
  if (!isSizes(shape) || !isSizes(offsets) || offsets.length !== 2) {
    throw formatError(`decodeSafetensors: "${name}" has no valid shape and data_offsets.`);
  }
  const [from, to] = offsets as [number, number];
  const length = sizeOf(shape);
  if (to - from !== length * BYTES[dtype] || dataStart + to > bytes.length) {
    throw formatError(
      `decodeSafetensors: "${name}" of shape [${shape.join(', ')}] expected ${length * BYTES[dtype]} bytes at ` +
        `[${from}, ${to}], the file holds ${bytes.length - dataStart}. Is it cut off?`,
    );
  }
  // Not bytes.slice: on a Node Buffer that is a view of the whole file.
  const copy = new Uint8Array(bytes.subarray(dataStart + from, dataStart + to)).buffer;
  return { dtype, shape, data: new ARRAYS[dtype](copy) } as SafeTensor;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

function formatError(message: string, cause?: unknown): CheckpointError {
  return new CheckpointError(message, { code: 'format' }, { cause });
}
