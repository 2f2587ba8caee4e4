import { TorchFileError } from './errors';

/** Elements of a tensor within a storage; all in elements. */
export type StridedLayout = {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  readonly elementBytes: number;
};

type Axis = {
  readonly size: number;
  /** Steps in the storage and in the result. */ readonly from: number;
  readonly to: number;
};

/** How much of the storage is held at a time for tensors that are not contiguous. */
const WINDOW_BYTES = 8 * 1024 * 1024;

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** One behind the last element of the storage that the tensor shows. 0 if it has no elements. */
export function storageEnd({ shape, strides, offset }: StridedLayout): number {
  if (elementCount(shape) === 0) return 0;
  return shape.reduce((end, n, axis) => end + (n - 1) * strides[axis]!, offset) + 1;
}

/**
 * The elements of a tensor, contiguous and row-major. Besides the result it holds a window of some MiB of the storage.
 *
 * @param layout Already checked against the storage.
 * @param read Bytes of the storage.
 * @param maxRepeatedBytes Bound for tensors that show elements more than once.
 * @throws TorchFileError `too_large` beyond it, or if there is no memory for the result.
 */
export async function readStrided(
  layout: StridedLayout,
  read: (offset: number, length: number) => Promise<Uint8Array>,
  maxRepeatedBytes: number,
): Promise<Uint8Array> {
  const { shape, offset, elementBytes } = layout;
  const bytes = elementCount(shape) * elementBytes;
  if (bytes === 0) return new Uint8Array();
  const axes = sortedAxes(layout);
  if (axes.every(({ from, to }) => from === to)) return read(offset * elementBytes, bytes);

  const span = (storageEnd(layout) - offset) * elementBytes;
  const repeats = !isInjective(axes);
  if (repeats && (bytes > maxRepeatedBytes || span > maxRepeatedBytes)) {
    throw new TorchFileError(
      `repeats elements of its storage and has ${bytes} bytes, more than maxRepeatedBytes = ${maxRepeatedBytes}. ` +
        'Save a contiguous copy of it.',
      'too_large',
    );
  }
  const result = allocate(bytes);
  // Elements of 8 bytes are moved as two of 4: a float64 could change on its way, a BigInt is slow.
  const unit = Math.min(elementBytes, 4);
  const scaled =
    elementBytes === 8
      ? [...axes.map(({ size, from, to }) => ({ size, from: 2 * from, to: 2 * to })), { size: 2, from: 1, to: 1 }]
      : axes;
  const windowBytes = repeats ? span : WINDOW_BYTES;
  await gather(scaled, unit, result, span / unit, windowBytes / unit, (at, length) =>
    read(offset * elementBytes + at * unit, length * unit),
  );
  return result;
}

/** The axes of more than one element, largest steps in the storage first. */
function sortedAxes({ shape, strides }: StridedLayout): Axis[] {
  let to = 1;
  const axes: Axis[] = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis]!;
    if (size > 1) axes.push({ size, from: strides[axis]!, to });
    to *= size;
  }
  return axes.sort((a, b) => b.from - a.from);
}

/** Whether no element is shown twice: each step goes beyond all that the smaller ones reach. Then the order is ascending. */
function isInjective(axes: readonly Axis[]): boolean {
  let reach = 0;
  for (const { size, from } of [...axes].reverse()) {
    if (from <= reach) return false;
    reach += (size - 1) * from;
  }
  return true;
}

/** Copies in the order of the storage, which passes by in windows. All sizes in units. */
async function gather(
  axes: readonly Axis[],
  unit: number,
  result: Uint8Array,
  span: number,
  windowSize: number,
  read: (at: number, length: number) => Promise<Uint8Array>,
): Promise<void> {
  const target = unitsOf(result, unit);
  const line = axes.at(-1)!;
  const outer = axes.slice(0, -1);
  const counter = outer.map(() => 0);
  let window = unitsOf(new Uint8Array(), unit);
  let start = 0; // of the window
  let from = 0;
  let to = 0;
  for (;;) {
    for (let done = 0; done < line.size;) {
      const at = from + done * line.from;
      if (at < start || at >= start + window.length) {
        window = unitsOf(await read(at, Math.min(windowSize, span - at)), unit);
        start = at;
      }
      const left = line.size - done;
      const count =
        line.from === 0 ? left : Math.min(left, Math.floor((start + window.length - 1 - at) / line.from) + 1);
      let source = at - start;
      let put = to + done * line.to;
      if (line.from === 1 && line.to === 1) target.set(window.subarray(source, source + count), put);
      else {
        for (let i = 0; i < count; i++) {
          target[put] = window[source]!;
          source += line.from;
          put += line.to;
        }
      }
      done += count;
    }
    // The next line, like an odometer.
    let axis = outer.length - 1;
    for (; axis >= 0; axis--) {
      const { size, from: stepFrom, to: stepTo } = outer[axis]!;
      from += stepFrom;
      to += stepTo;
      if (++counter[axis]! < size) break;
      from -= size * stepFrom;
      to -= size * stepTo;
      counter[axis] = 0;
    }
    if (axis < 0) return;
  }
}

function unitsOf(bytes: Uint8Array, unit: number): Uint8Array | Uint16Array | Uint32Array {
  const aligned = bytes.byteOffset % unit === 0 ? bytes : new Uint8Array(bytes);
  const { buffer, byteOffset, byteLength } = aligned;
  if (unit === 1) return aligned;
  return unit === 2
    ? new Uint16Array(buffer, byteOffset, byteLength / 2)
    : new Uint32Array(buffer, byteOffset, byteLength / 4);
}

function allocate(bytes: number): Uint8Array {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new TorchFileError(`has ${bytes} bytes, for which there is no memory.`, 'too_large', { cause });
  }
}
