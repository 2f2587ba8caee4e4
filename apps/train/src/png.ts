import { decode, encode } from 'fast-png';

/** 8-bit RGB pixels, rows from the top: `data` has `height * width * 3` bytes. */
export type Picture = { readonly width: number; readonly height: number; readonly data: Uint8Array };

const RECORD_KEYWORD = 'sgdiff';

/** PNG bytes; a request record goes into a text chunk (as ASCII JSON, so that any reader shows it). */
export function encodePicture(picture: Picture, record?: unknown): Uint8Array {
  return encode({
    width: picture.width,
    height: picture.height,
    data: picture.data,
    depth: 8,
    channels: 3,
    ...(record === undefined ? {} : { text: { [RECORD_KEYWORD]: asciiJson(record) } }),
  });
}

/** The record inside a PNG, or undefined when it has none. */
export function readRecord(png: Uint8Array): unknown {
  const text = decode(png).text[RECORD_KEYWORD];
  return text === undefined ? undefined : JSON.parse(text);
}

/** Pictures side by side, `columns` in a row, with `gap` px of white around each; all of one size. */
export function tile(pictures: readonly Picture[], columns: number, options: { gap?: number; zoom?: number } = {}): Picture {
  const { gap = 4, zoom = 1 } = options;
  const { width: w, height: h } = pictures[0];
  const cellW = w * zoom + gap;
  const cellH = h * zoom + gap;
  const rows = Math.ceil(pictures.length / columns);
  const width = columns * cellW + gap;
  const height = rows * cellH + gap;
  const data = new Uint8Array(width * height * 3).fill(255);
  pictures.forEach((picture, index) => {
    const left = gap + (index % columns) * cellW;
    const top = gap + Math.floor(index / columns) * cellH;
    for (let y = 0; y < h * zoom; y++) {
      for (let x = 0; x < w * zoom; x++) {
        const from = (Math.floor(y / zoom) * w + Math.floor(x / zoom)) * 3;
        const to = ((top + y) * width + left + x) * 3;
        data[to] = picture.data[from];
        data[to + 1] = picture.data[from + 1];
        data[to + 2] = picture.data[from + 2];
      }
    }
  });
  return { width, height, data };
}

/** Pixels in [-1, 1] to bytes. */
export function toBytes(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (value) => Math.round(Math.min(1, Math.max(0, (value + 1) / 2)) * 255));
}

/** A batch of pictures in [-1, 1], `[B, H, W, 3]` flat. */
export function toPictures(values: Float32Array, count: number, height: number, width: number): Picture[] {
  const size = height * width * 3;
  return Array.from({ length: count }, (_, i) => ({
    width,
    height,
    data: toBytes(values.subarray(i * size, (i + 1) * size)),
  }));
}

function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
