// How edits of pictures went: what is measured of one, and how all of them are told.
import { isPart } from '@sgdiff/datasets';
import type { Detection } from '@sgdiff/metrics';
import type { RequestRecord } from '@sgdiff/pipeline';
import type { GraphEdit } from '../data/picture-book-edits';
import { writeFileAtomic } from '../files';
import { encodePicture, tile, type Picture as Cell } from '../png';
import type { Terminal } from '../terminal';
import type { EvaluationSplit } from './evaluation-parts';

/** An edit the model can draw, and how it went. */
export type EditResult = {
  readonly edit: GraphEdit;
  readonly seed: number;
  readonly before: Uint8Array;
  readonly redrawn: Uint8Array;
  readonly edited: Uint8Array;
  /** Share of the picture that was drawn anew, seams included; its places, 1 or 0 per pixel. */
  readonly area: number;
  readonly region: Uint8Array;
  /** Whether the edited picture shows what the changed graph asks for. */
  readonly holds: boolean;
  /** Of the objects that the edit is not about and that the picture before shows: how many, and how many the edited one shows, and the redrawn. */
  readonly others: { readonly there: number; readonly kept: number; readonly keptRedrawn: number };
  /**
   * Mean absolute change of the picture, of 1: outside the region, and outside the boxes of what the edit is about, before and after. NaN
   * where nothing lies outside, as for a picture that was drawn in full.
   */
  readonly outsideRegion: number;
  readonly outsideBoxes: number;
  /** The latter of the picture that was drawn anew in full. */
  readonly outsideBoxesRedrawn: number;
};

/** What belongs to a thing beyond its detected box, in picture sides: a cell of the latents of a picture of 64 px. */
export const MARGIN = 4 / 64;
const SHEET = 40;

export type EditSummary = {
  readonly count: number;
  readonly holds: number;
  readonly others: EditResult['others'];
  readonly outsideRegion: number;
  readonly outsideBoxes: number;
  readonly outsideBoxesRedrawn: number;
  readonly area: number;
};

/** Per pixel 1 where the last edit of the picture drew anew, if only a little, else 0. */
export function regionOf({ record, width, height }: { readonly record: Pick<RequestRecord, 'edits'>; readonly width: number; readonly height: number }): Uint8Array {
  const rows = record.edits?.at(-1)?.region;
  const region = new Uint8Array(width * height).fill(1); // drawn in full
  if (!rows) return region;
  for (let y = 0; y < height; y++) {
    const row = rows[Math.floor((y * rows.length) / height)];
    for (let x = 0; x < width; x++) region[y * width + x] = row[Math.floor((x * row.length) / width)] === '0' ? 0 : 1;
  }
  return region;
}

/** Whether a pixel lies outside the boxes of the things of these words, and a margin around them. */
export function outsideBoxes(detections: readonly Detection[], words: readonly string[], width: number): (pixel: number) => boolean {
  const boxes = detections.filter(({ category }) => words.includes(category) && !isPart(category)).map(({ box }) => box);
  return (pixel) => {
    const x = ((pixel % width) + 0.5) / width;
    const y = (Math.floor(pixel / width) + 0.5) / width;
    return !boxes.some(([x0, y0, x1, y1]) => x > x0 - MARGIN && x < x1 + MARGIN && y > y0 - MARGIN && y < y1 + MARGIN);
  };
}

/** Mean absolute difference of the pixels chosen, of 1; NaN where none is. */
export function change(before: Uint8Array, after: Uint8Array, chosen: (pixel: number) => boolean): number {
  let sum = 0;
  let values = 0;
  for (let pixel = 0; pixel < before.length / 3; pixel++) {
    if (!chosen(pixel)) continue;
    for (let i = 3 * pixel; i < 3 * pixel + 3; i++) sum += Math.abs(before[i] - after[i]) / 255;
    values += 3;
  }
  return sum / values;
}

/** Numbers of all of them. */
export function summarise(results: readonly EditResult[]): EditSummary {
  const of = (key: 'outsideRegion' | 'outsideBoxes' | 'outsideBoxesRedrawn' | 'area'): number => mean(results.map((result) => result[key]));
  const sum = (key: keyof EditResult['others']): number => results.reduce((total, { others }) => total + others[key], 0);
  return {
    count: results.length,
    holds: results.filter(({ holds }) => holds).length,
    others: { there: sum('there'), kept: sum('kept'), keptRedrawn: sum('keptRedrawn') },
    outsideRegion: of('outsideRegion'),
    outsideBoxes: of('outsideBoxes'),
    outsideBoxesRedrawn: of('outsideBoxesRedrawn'),
    area: of('area'),
  };
}

/** Of those that are numbers; NaN where none is. */
export function mean(values: readonly number[]): number {
  const numbers = values.filter((value) => !Number.isNaN(value));
  return numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
}

export function printTable(
  all: EditSummary,
  kinds: Readonly<Record<string, EditSummary & { readonly tried: number; readonly startShown: number }>>,
  split: EvaluationSplit,
  terminal: Terminal,
): void {
  terminal.say(
    `Edits of ${split} pictures that the model can draw: does the edited picture show the change, are the other objects still there, and what ` +
      'else changed (mean, of 1)? In brackets: redrawn in full.',
  );
  terminal.say('           shown        others there        outside region   outside things        region');
  const told = (value: number, digits = 4): string => (Number.isNaN(value) ? '-' : value.toFixed(digits));
  const row = (name: string, { count, holds, others, outsideRegion, outsideBoxes, outsideBoxesRedrawn, area }: EditSummary): string =>
    `${name.padEnd(8)}  ${`${holds} of ${count}`.padStart(10)}   ${`${others.kept} of ${others.there} (${others.keptRedrawn})`.padEnd(18)}  ` +
    `${told(outsideRegion).padEnd(14)}   ${`${told(outsideBoxes)} (${told(outsideBoxesRedrawn)})`.padEnd(18)}   ${told(area, 2).padStart(6)}`;
  terminal.say(row('all', all));
  for (const [kind, summary] of Object.entries(kinds)) {
    terminal.say(`${row(kind, summary)}   of ${summary.tried} tried, ${summary.startShown} with a picture to start from`);
  }
}

/** Three edits in a row, of each the picture before, redrawn in full, where the edit drew, and edited. */
export function writeSheet(path: string, results: readonly EditResult[], side: number): void {
  const cell = (data: Uint8Array): Cell => ({ width: side, height: side, data });
  const cells = results
    .slice(0, SHEET)
    .flatMap(({ before, redrawn, edited, region }) => [
      cell(before),
      cell(redrawn),
      cell(Uint8Array.from(edited, (value, i) => (region[Math.floor(i / 3)] ? value : 255 - (255 - value) / 4))),
      cell(edited),
    ]);
  writeFileAtomic(path, encodePicture(tile(cells, 12, { zoom: 2 })));
}
