// Where the network looked: a sheet of the picture, and one tile per object and relation.
import type { Picture, PictureMaps } from '@sgdiff/pipeline';
import type { SceneGraph } from '@sgdiff/sg-schema';
import { writeFileAtomic } from '../files';
import { breakLines, LINE_HEIGHT, writeLine } from '../pixel-font';
import { encodePicture, tile, type Picture as Pixels } from '../png';

export type MapTile = {
  /** Which of the sheet's tiles it is, rows from the top; 0 is the picture. */
  readonly tile: number;
  /** Position in the graph's objects, or in its relationships. */
  readonly object?: number;
  readonly relation?: number;
  readonly words: string;
  /** The place that looked at it most, in [0, 1] from the left and the top, and the share of its attention, 0 to 1. */
  readonly peak: { readonly x: number; readonly y: number; readonly share: number };
  /** Mean share over the picture. */
  readonly mean: number;
};

export type MapsSheet = { readonly path: string; readonly tiles: readonly MapTile[] };

/** Tiles at least so wide, so that their words can be read. */
const TILE_PX = 192;
const COLUMNS = 4;
const ORANGE = [255, 120, 0];

/** Where a picture's sheet of maps lies. */
export function mapsPath(picturePath: string): string {
  return picturePath.replace(/\.png$/, '-maps.png');
}

/**
 * Writes `<picture>-maps.png`. Each map is scaled to its own range, from dark where the network looked at it least to orange where it
 * looked most; how large its share was there stands in the caption.
 */
export function writeMaps(picturePath: string, { width, height, pixels, maps, record }: Picture): MapsSheet {
  const path = mapsPath(picturePath);
  const zoom = Math.max(1, Math.ceil(TILE_PX / width));
  const seen = mapsOf(record.graph, maps!);
  const tiles = seen.map(({ map, ...what }, i): MapTile => ({ tile: i + 1, ...what, ...measure(map, width) }));
  const captions = ['picture', ...tiles.map(({ words, peak }) => `${words} ${(100 * peak.share).toFixed(0)}%`)];
  const pictures = [pixels, ...seen.map(({ map }) => overlay(pixels, map))].map((data) => enlarge({ width, height, data }, zoom));
  const lines = captions.map((caption) => breakLines(caption, width * zoom));
  const most = Math.max(...lines.map(({ length }) => length));
  const cells = pictures.map((picture, i) => withCaption(picture, lines[i], most));
  writeFileAtomic(path, encodePicture(tile(cells, Math.min(COLUMNS, cells.length), { gap: 6 }), { picture: record, tiles }));
  return { path, tiles };
}

/** Objects and relations with a token, and their words. */
function mapsOf({ objects, relationships }: SceneGraph, maps: PictureMaps): { map: Float32Array; words: string; object?: number; relation?: number }[] {
  const names = objects.map((word, i) => {
    const before = objects.slice(0, i).filter((other) => other === word).length;
    return before === 0 ? word : `${word} ${before + 1}`;
  });
  return [
    ...maps.objects.map((map, object) => ({ map, object, words: names[object] })),
    ...maps.relationships.map((map, relation) => {
      const [subject, predicate, object] = relationships[relation];
      return { map, relation, words: `${names[subject]} ${predicate} ${names[object]}` };
    }),
  ].filter((entry): entry is typeof entry & { map: Float32Array } => entry.map !== null);
}

function measure(map: Float32Array, width: number): Pick<MapTile, 'peak' | 'mean'> {
  const at = peakOf(map);
  return {
    peak: { x: ((at % width) + 0.5) / width, y: (Math.floor(at / width) + 0.5) / (map.length / width), share: map[at] },
    mean: map.reduce((sum, value) => sum + value, 0) / map.length,
  };
}

/** Where a map is largest. */
export function peakOf(map: Float32Array): number {
  let at = 0;
  map.forEach((value, i) => {
    if (value > map[at]) at = i;
  });
  return at;
}

/** The picture in grey, dark where the map is low and orange where it is high. */
function overlay(pixels: Uint8Array, map: Float32Array): Uint8Array {
  const data = new Uint8Array(pixels.length);
  const lowest = map.reduce((a, b) => Math.min(a, b), Infinity);
  const range = map.reduce((a, b) => Math.max(a, b), -Infinity) - lowest;
  map.forEach((value, i) => {
    const heat = range > 0 ? (value - lowest) / range : 0;
    const grey = 0.3 * pixels[3 * i] + 0.59 * pixels[3 * i + 1] + 0.11 * pixels[3 * i + 2];
    // A flat map stays dark: nothing in it stands out.
    const light = (0.3 + 0.7 * heat) * grey;
    ORANGE.forEach((warm, channel) => (data[3 * i + channel] = light + 0.55 * heat * (warm - light)));
  });
  return data;
}

function enlarge({ width, height, data }: Pixels, zoom: number): Pixels {
  return tile([{ width, height, data }], 1, { gap: 0, zoom });
}

/** The picture with lines of black on white below, and room for `most`. */
function withCaption({ width, height, data }: Pixels, lines: readonly string[], most: number): Pixels {
  const cell = { width, height: height + 4 + most * LINE_HEIGHT, data: new Uint8Array(width * (height + 4 + most * LINE_HEIGHT) * 3).fill(255) };
  cell.data.set(data);
  lines.forEach((line, i) => writeLine(cell, line, 0, height + 4 + i * LINE_HEIGHT));
  return cell;
}
