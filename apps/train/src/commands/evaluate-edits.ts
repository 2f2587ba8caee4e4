import { isPart, renderScene, sampleScene } from '@sgdiff/datasets';
import type { Detection } from '@sgdiff/metrics';
import { createRng } from '@sgdiff/nn';
import type { ModelSource, OwnImage, Picture, Pipeline, RequestRecord } from '@sgdiff/pipeline';
import { join } from 'node:path';
import type { BackendChoice } from '../backend';
import { EDIT_KINDS, sampleEdit, type EditKind, type GraphEdit } from '../data/picture-book-edits';
import { CliError } from '../errors';
import { requireWritableFolder, writeFileAtomic } from '../files';
import { encodePicture, tile, type Picture as Cell } from '../png';
import { createRasterizer } from '../rasterizer';
import type { Terminal } from '../terminal';
import { evaluationParts, loadModelDetector, TOLERANCE, type EvaluationSplit } from './evaluation-parts';
import { interruptible } from './generate';

export type EditsOptions = {
  /** Edits that the model can draw. */
  readonly count: number;
  readonly split: EvaluationSplit;
  readonly seed: number;
  readonly steps?: number;
  readonly kinds: readonly EditKind[];
  /** Edits pictures that were not drawn, true renders of the graphs, instead of drawn ones. */
  readonly own: boolean;
  /** Folder for a sheet of the edits and all numbers. */
  readonly out?: string;
};

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

/** Pictures drawn at a time. */
const BATCH = 4;
/** A kind of edit is given up after so many tries for each edit of it that was asked for. */
const PATIENCE = 6;
/** A kind that hardly any graph offers is given up after so many graphs. */
const MOST_GRAPHS = 5000;
/** What belongs to a thing beyond its detected box, in picture sides: a cell of the latents of a picture of 64 px. */
const MARGIN = 4 / 64;
const SHEET = 40;

/**
 * Edits pictures of unseen graphs by changing the graphs, and measures whether they show the change and what else changed.
 *
 * Counted are edits that the model can draw: the picture before shows what the edit starts from (the thing that is to go, the relation that
 * is to change), and the changed graph drawn in full from the same noise shows what it asks for, in the relations it asks for.
 */
export async function evaluateEdits(
  source: ModelSource,
  pipeline: Pipeline,
  options: EditsOptions,
  backend: BackendChoice,
  terminal: Terminal,
): Promise<void> {
  const parts = evaluationParts(pipeline);
  const { count, split, seed, steps, kinds: asked, own, out } = options;
  if (out !== undefined) requireWritableFolder(out);
  const rasterize = await createRasterizer();
  const detector = await loadModelDetector(source, pipeline);
  const progress = terminal.progress('edits', count);
  const tried: Record<EditKind, number> = { replace: 0, relate: 0, add: 0, remove: 0 };
  const startShown: Record<EditKind, number> = { ...tried };
  const results: EditResult[] = [];
  try {
    const begun = performance.now();
    await interruptible(async (signal) => {
      const settings = { signal, ...(steps === undefined ? {} : { steps }) };
      const draw = (edits: readonly Candidate[], which: 'before' | 'after'): Promise<Picture[]> =>
        pipeline.generateBatch(
          edits.map(({ edit }) => edit[which]),
          { ...settings, seeds: edits.map((candidate) => candidate.seed) },
        );
      const detected = (pictures: readonly OwnImage[]): Promise<Detection[][]> => detector.detect(pictures.map(({ pixels }) => pixels));
      for (let index = 0; results.length < count && index < MOST_GRAPHS; ) {
        const some: Candidate[] = [];
        while (some.length < BATCH && index < MOST_GRAPHS) {
          const kind = nextKind(asked, results, tried, count);
          if (kind === undefined) break;
          const { graph, image } = renderScene(sampleScene({ seed: parts.data.seed, split, index }), parts.data.size, rasterize);
          const edit = sampleEdit(graph, kind, createRng('evaluate-edits', index), TOLERANCE);
          if (edit) {
            tried[kind]++;
            some.push({ edit, seed: seed + index, image: { width: parts.data.size, height: parts.data.size, pixels: image } });
          }
          index++;
        }
        if (some.length === 0) break; // no kind has enough edits that can be drawn
        const before: readonly OwnImage[] = own ? some.map(({ image }) => image) : await draw(some, 'before');
        const foundBefore = await detected(before);
        const starting = some.map((_, i) => i).filter((i) => some[i].edit.shownBefore(foundBefore[i]));
        for (const i of starting) startShown[some[i].edit.kind]++;
        if (starting.length === 0) continue;
        const redrawn = await draw(
          starting.map((i) => some[i]),
          'after',
        );
        const foundRedrawn = await detected(redrawn);
        for (const [j, i] of starting.entries()) {
          const { edit, seed, image } = some[i];
          if (results.length === count || !edit.shown(foundRedrawn[j])) continue;
          const edited = own
            ? await pipeline.editImage(image, edit.before, edit.after, { ...settings, seed })
            : await pipeline.edit((before[i] as Picture).record, edit.after, { signal });
          const [found] = await detected([edited]);
          const region = regionOf(edited);
          const { there, kept } = edit.others(foundBefore[i], found);
          const outside = (picture: OwnImage, isOutside: (pixel: number) => boolean) => change(before[i].pixels, picture.pixels, isOutside);
          const boxes = (other: readonly Detection[]) => outsideBoxes([...foundBefore[i], ...other], edit.words, before[i].width);
          results.push({
            edit,
            seed,
            before: before[i].pixels,
            redrawn: redrawn[j].pixels,
            edited: edited.pixels,
            area: mean(Array.from(region)),
            region,
            holds: edit.shown(found),
            others: { there, kept, keptRedrawn: edit.others(foundBefore[i], foundRedrawn[j]).kept },
            outsideRegion: outside(edited, (pixel) => region[pixel] === 0),
            outsideBoxes: outside(edited, boxes(found)),
            outsideBoxesRedrawn: outside(redrawn[j], boxes(foundRedrawn[j])),
          });
          progress.update(results.length, edit.text);
        }
      }
    });
    const seconds = (performance.now() - begun) / 1000;
    if (results.length === 0) {
      const sum = (counts: Readonly<Record<EditKind, number>>): number => EDIT_KINDS.reduce((total, kind) => total + counts[kind], 0);
      throw new CliError(
        `The model drew none of the ${sum(tried)} edits that were tried, ${sum(startShown)} of them with a picture to start from, so there is nothing to measure.`,
      );
    }
    const summary = summarise(results);
    const kinds = Object.fromEntries(
      asked.map((kind) => [
        kind,
        { tried: tried[kind], startShown: startShown[kind], ...summarise(results.filter(({ edit }) => edit.kind === kind)) },
      ]),
    );
    const protocol = {
      ...{ dataset: 'picture-book', dataSeed: parts.data.seed, split, firstIndex: 0, seeds: `${seed} + index`, steps: steps ?? pipeline.manifest.defaults.steps },
      ...{ pictures: own ? 'true renders' : 'drawn', tolerance: TOLERANCE, margin: MARGIN, model: pipeline.manifest.name, backend: backend.name },
    };
    printTable(summary, kinds, split, terminal);
    if (out !== undefined) {
      const list = results.map(({ edit: { kind, text }, seed, holds, others, area, outsideRegion, outsideBoxes, outsideBoxesRedrawn }) => ({
        ...{ kind, text, seed, holds, others, area, outsideRegion, outsideBoxes, outsideBoxesRedrawn },
      }));
      writeFileAtomic(join(out, 'edits.json'), `${JSON.stringify({ edits: summary, kinds, protocol, list }, null, 2)}\n`);
      writeSheet(join(out, 'edits.png'), results, pipeline.manifest.imageSize);
      terminal.say(`Pictures and details in ${out}`);
    }
    terminal.result({ edits: summary, kinds, protocol, seconds });
  } finally {
    progress.stop();
    detector.dispose();
  }
}

type Candidate = { readonly edit: GraphEdit; readonly seed: number; readonly image: OwnImage };

type EditSummary = {
  readonly count: number;
  readonly holds: number;
  readonly others: EditResult['others'];
  readonly outsideRegion: number;
  readonly outsideBoxes: number;
  readonly outsideBoxesRedrawn: number;
  readonly area: number;
};

/** The kind that is furthest from its even share of all edits, of those that are not given up; undefined when all are. */
function nextKind(
  asked: readonly EditKind[],
  results: readonly EditResult[],
  tried: Readonly<Record<EditKind, number>>,
  count: number,
): EditKind | undefined {
  const done = (kind: EditKind): number => results.filter(({ edit }) => edit.kind === kind).length;
  const open = asked.filter((kind) => tried[kind] < (PATIENCE * count) / asked.length);
  const least = Math.min(...open.map(done));
  // Of those equally far the one tried least, so that a batch is not all of one kind.
  return open.filter((kind) => done(kind) <= least + 1).sort((a, b) => tried[a] - tried[b])[0];
}

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

function summarise(results: readonly EditResult[]): EditSummary {
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
function mean(values: readonly number[]): number {
  const numbers = values.filter((value) => !Number.isNaN(value));
  return numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
}

function printTable(
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
function writeSheet(path: string, results: readonly EditResult[], side: number): void {
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
