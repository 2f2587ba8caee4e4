import { crc32, deflateRawSync } from 'node:zlib';
import { type Segment, sizeOf } from './segments';

export type ZipItem = {
  readonly name: string;
  readonly data: Segment;
  readonly deflate?: boolean;
  /** Lies of the directory, for tests. */
  readonly declaredSize?: number;
  readonly crc?: number;
  readonly offset?: number;
  readonly flags?: number;
};

/** A zip archive as segments, of any size: zip64 where it is needed. Every header says what `items` say, true or not. */
export function writeZip(items: readonly ZipItem[]): Segment[] {
  const segments: Segment[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  const put = (segment: Segment): void => {
    segments.push(segment);
    at += sizeOf(segment);
  };
  for (const item of items) {
    const name = new TextEncoder().encode(item.name);
    const data = item.deflate ? new Uint8Array(deflateRawSync(item.data as Uint8Array)) : item.data;
    const size = item.declaredSize ?? sizeOf(item.data);
    const stored = item.deflate ? sizeOf(data) : size;
    const crc = item.crc ?? (item.data instanceof Uint8Array ? crc32(item.data) : 0);
    const offset = item.offset ?? at;
    const shared = [...u16(item.flags ?? 0x800), ...u16(item.deflate ? 8 : 0), ...u32(0), ...u32(crc)];
    const local = zip64Extra([size, stored], 2);
    put(
      Uint8Array.from([
        ...u32(0x04034b50),
        ...u16(45),
        ...shared,
        ...u32(Math.min(stored, MAX)),
        ...u32(Math.min(size, MAX)),
        ...u16(name.length),
        ...u16(local.length),
        ...name,
        ...local,
      ]),
    );
    put(data);
    const extra = zip64Extra([size, stored, offset], 0);
    directory.push(
      Uint8Array.from([
        ...u32(0x02014b50),
        ...u16(45),
        ...u16(45),
        ...shared,
        ...u32(Math.min(stored, MAX)),
        ...u32(Math.min(size, MAX)),
        ...u16(name.length),
        ...u16(extra.length),
        ...u16(0),
        ...u16(0),
        ...u16(0),
        ...u32(0),
        ...u32(Math.min(offset, MAX)),
        ...name,
        ...extra,
      ]),
    );
  }
  const start = at;
  for (const entry of directory) put(entry);
  const size = at - start;
  const end = at;
  if (start >= MAX || items.length >= 0xffff) {
    put(
      Uint8Array.from([
        ...u32(0x06064b50),
        ...u64(44),
        ...u16(45),
        ...u16(45),
        ...u32(0),
        ...u32(0),
        ...u64(items.length),
        ...u64(items.length),
        ...u64(size),
        ...u64(start),
        ...u32(0x07064b50),
        ...u32(0),
        ...u64(end),
        ...u32(1),
      ]),
    );
  }
  const count = u16(Math.min(items.length, 0xffff));
  put(
    Uint8Array.from([
      ...u32(0x06054b50),
      ...u32(0),
      ...count,
      ...count,
      ...u32(size),
      ...u32(Math.min(start, MAX)),
      ...u16(0),
    ]),
  );
  return segments;
}

const MAX = 0xffffffff;

/** The extra field with those values that do not fit into 32 bits; all of them as soon as one does not, if `all` says so. */
function zip64Extra(values: readonly number[], all: number): number[] {
  const wide = values.some((value, i) => i < all && value >= MAX) ? values : values.filter((value) => value >= MAX);
  return wide.length === 0 ? [] : [...u16(1), ...u16(8 * wide.length), ...wide.flatMap(u64)];
}

function u16(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff];
}

function u32(value: number): number[] {
  return [...u16(value & 0xffff), ...u16(Math.floor(value / 0x10000) & 0xffff)];
}

function u64(value: number): number[] {
  return [...u32(value % 2 ** 32), ...u32(Math.floor(value / 2 ** 32))];
}
