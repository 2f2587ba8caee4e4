import { CheckpointError } from './errors';
import type { StoredDtype } from './tensor-source';

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<StoredDtype, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** Some 100,000 tensors. The format allows ten times as much, which JSON.parse could blow up to gigabytes. */
const MAX_HEADER_BYTES = 10_000_000;

/** One tensor of a header; its bytes stand at `[from, to)` after the header. */
export type HeaderEntry = {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
};

/**
 * The head of a safetensors file: what stands before the tensors' bytes, which follow in the given order without gaps.
 * For writers that do not hold all tensors at once.
 *
 * @see https://github.com/huggingface/safetensors#format
 */
export function encodeSafetensorsHeader(
  tensors: readonly { readonly name: string; readonly dtype: StoredDtype; readonly shape: readonly number[] }[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const header = Object.create(null) as Record<string, unknown>; // a tensor may be called __proto__
  if (metadata) header.__metadata__ = metadata;
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    const from = end;
    end += sizeOf(shape) * DTYPE_BYTES[dtype];
    header[name] = { dtype, shape, data_offsets: [from, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20); // the format pads with spaces
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(json, 8);
  return bytes;
}

/**
 * Length of the JSON that follows the first eight bytes.
 *
 * @param where Name of the reading function, for messages. @param fileBytes Size of the whole file, where it is known.
 * @throws CheckpointError if it cannot be a header's.
 */
export function headerJsonBytes(where: string, firstEight: Uint8Array, fileBytes = Infinity): number {
  if (firstEight.length < 8) {
    throw formatError(`${where}: expected at least 8 bytes, received ${firstEight.length}.`);
  }
  const size = Number(new DataView(firstEight.buffer, firstEight.byteOffset).getBigUint64(0, true));
  if (8 + size > fileBytes) {
    throw formatError(
      `${where}: the header says ${size} bytes but the file has ${fileBytes}. Is it cut off, or another format?`,
    );
  }
  if (size > MAX_HEADER_BYTES) {
    throw formatError(`${where}: expected a header of at most ${MAX_HEADER_BYTES} bytes, received ${size}. Is it another format?`);
  }
  return size;
}

/**
 * What the JSON of a header says: the tensors in the order of their bytes.
 *
 * @param types The element types the caller can read. @param dataBytes Bytes after the header, where they are known.
 * @throws CheckpointError for JSON that is no header, other types, sizes that do not fit, and gaps or overlaps.
 */
export function parseSafetensorsHeader(
  where: string,
  json: Uint8Array,
  types: readonly StoredDtype[],
  dataBytes = Infinity,
): { readonly entries: readonly HeaderEntry[]; readonly metadata: Readonly<Record<string, string>> } {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
    if (header === null || typeof header !== 'object' || Array.isArray(header)) throw new Error('not an object');
  } catch (cause) {
    throw formatError(`${where}: expected a JSON object as header. Is the file of another format?`, cause);
  }
  const entries: HeaderEntry[] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of Object.entries(header as object)) {
    if (name === '__metadata__') metadata = parseMetadata(where, value);
    else entries.push(parseEntry(where, name, value, types, dataBytes));
  }
  entries.sort((a, b) => a.from - b.from || a.to - b.to);
  let end = 0;
  for (const { name, from, to } of entries) {
    if (from !== end) {
      throw formatError(`${where}: expected the bytes of "${name}" at ${end}, received ${from}. Is the file damaged?`);
    }
    end = to;
  }
  if (dataBytes !== Infinity && end !== dataBytes) {
    throw formatError(`${where}: expected the file to end after its last tensor, but it goes on. Is it damaged?`);
  }
  return { entries, metadata };
}

export function formatError(message: string, cause?: unknown): CheckpointError {
  return new CheckpointError(message, { code: 'format' }, { cause });
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

function parseMetadata(where: string, value: unknown): Record<string, string> {
  const isMap = value !== null && typeof value === 'object' && !Array.isArray(value);
  if (!isMap || Object.values(value).some((text) => typeof text !== 'string')) {
    throw formatError(`${where}: expected __metadata__ to map strings to strings.`);
  }
  return value as Record<string, string>;
}

function parseEntry(
  where: string,
  name: string,
  value: unknown,
  types: readonly StoredDtype[],
  dataBytes: number,
): HeaderEntry {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  if (!(types as readonly unknown[]).includes(dtype)) {
    const known = `${types.slice(0, -1).join(', ')} or ${types.at(-1)}`;
    throw formatError(`${where}: "${name}" has type ${typeof dtype === 'string' ? dtype : JSON.stringify(dtype)}, expected ${known}. Convert it first.`);
  }
  if (!isSizes(shape) || !isSizes(offsets) || offsets.length !== 2) {
    throw formatError(`${where}: "${name}" has no valid shape and data_offsets.`);
  }
  const [from, to] = offsets as [number, number];
  const bytes = sizeOf(shape) * DTYPE_BYTES[dtype as StoredDtype];
  if (to - from !== bytes || to > dataBytes) {
    const held = dataBytes === Infinity ? '' : `, the file holds ${dataBytes}. Is it cut off?`;
    throw formatError(
      `${where}: "${name}" of shape [${shape.join(', ')}] expected ${bytes} bytes at [${from}, ${to}]${held || '.'}`,
    );
  }
  return { name, dtype: dtype as StoredDtype, shape, from, to };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}
