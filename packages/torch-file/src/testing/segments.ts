import { type ByteSource } from '../byte-source';

/** A part of a file: its bytes, or a rule for them, so that a file of many GB takes no memory. */
export type Segment =
  | Uint8Array
  | {
      readonly size: number;
      /** Fills `target`, which begins at `offset` of the segment. */ fill(target: Uint8Array, offset: number): void;
    };

export type CountingSource = ByteSource & {
  /** Bytes read so far, and by the largest single read. */
  readonly stats: { total: number; largest: number };
};

/** Segments one behind the other as a file, which counts what is read. */
export function segmentSource(segments: readonly Segment[], name = 'virtual.pt'): CountingSource {
  const sizes = segments.map(sizeOf);
  const size = sizes.reduce((sum, n) => sum + n, 0);
  const stats = { total: 0, largest: 0 };
  return {
    name,
    size,
    stats,
    async read(offset, length) {
      if (offset < 0 || offset + length > size) throw new Error(`read of ${length} at ${offset} is outside`);
      stats.total += length;
      stats.largest = Math.max(stats.largest, length);
      const bytes = new Uint8Array(length);
      let start = 0;
      segments.forEach((segment, i) => {
        const from = Math.max(offset, start);
        const to = Math.min(offset + length, start + sizes[i]!);
        if (from < to) {
          const target = bytes.subarray(from - offset, to - offset);
          if (segment instanceof Uint8Array) target.set(segment.subarray(from - start, to - start));
          else segment.fill(target, from - start);
        }
        start += sizes[i]!;
      });
      return bytes;
    },
  };
}

export function sizeOf(segment: Segment): number {
  return segment instanceof Uint8Array ? segment.length : segment.size;
}

export function joinSegments(segments: readonly Segment[]): Uint8Array {
  const bytes = new Uint8Array(segments.reduce((sum, segment) => sum + sizeOf(segment), 0));
  let at = 0;
  for (const segment of segments) {
    if (segment instanceof Uint8Array) bytes.set(segment, at);
    else segment.fill(bytes.subarray(at, at + segment.size), 0);
    at += sizeOf(segment);
  }
  return bytes;
}
