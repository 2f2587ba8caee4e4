import { renderScene, sampleScene } from '@sgdiff/datasets';
import type { Detection } from '@sgdiff/metrics';
import { createRng } from '@sgdiff/nn';
import type { ModelSource, OwnImage, Picture, Pipeline } from '@sgdiff/pipeline';
import { join } from 'node:path';
import type { BackendChoice } from '../backend';
import { EDIT_KINDS, sampleEdit, type EditKind, type GraphEdit } from '../data/picture-book-edits';
import { CliError } from '../errors';
import { requireWritableFolder, writeFileAtomic } from '../files';
import { createRasterizer } from '../rasterizer';
import type { Terminal } from '../terminal';
import { change, MARGIN, mean, outsideBoxes, printTable, regionOf, summarise, writeSheet, type EditResult } from './edit-results';
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

/** Pictures drawn at a time. */
const BATCH = 4;
/** A kind of edit is given up after so many tries for each edit of it that was asked for. */
const PATIENCE = 6;
/** A kind that hardly any graph offers is given up after so many graphs. */
const MOST_GRAPHS = 5000;

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
    let stopped: CliError | undefined;
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
          results.push(
            resultOf(some[i], {
              before: { pixels: before[i].pixels, found: foundBefore[i] },
              redrawn: { pixels: redrawn[j].pixels, found: foundRedrawn[j] },
              edited: { ...edited, found },
            }),
          );
          progress.update(results.length, edit.text);
        }
      }
    }, 'Stopped before the first edit was measured.').catch((error: unknown) => {
      if (!(error instanceof CliError) || error.exitCode !== 130 || results.length === 0) throw error;
      stopped = new CliError('Stopped. What is told counts the edits that were done.', { exitCode: 130, cause: error });
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
    if (stopped) throw stopped;
  } finally {
    progress.stop();
    detector.dispose();
  }
}

/** Pixels of a picture, and what the detector sees there. */
type Seen = Pick<OwnImage, 'pixels'> & { readonly found: readonly Detection[] };

/** What is measured of one edit. */
function resultOf(
  { edit, seed }: Candidate,
  { before, redrawn, edited }: { readonly before: Seen; readonly redrawn: Seen; readonly edited: Seen & Picture },
): EditResult {
  const region = regionOf(edited);
  const outside = (picture: Seen, isOutside: (pixel: number) => boolean): number => change(before.pixels, picture.pixels, isOutside);
  const outsideThings = (picture: Seen): number => outside(picture, outsideBoxes([...before.found, ...picture.found], edit.words, edited.width));
  return {
    edit,
    seed,
    before: before.pixels,
    redrawn: redrawn.pixels,
    edited: edited.pixels,
    area: mean(Array.from(region)),
    region,
    holds: edit.shown(edited.found),
    others: { ...edit.others(before.found, edited.found), keptRedrawn: edit.others(before.found, redrawn.found).kept },
    outsideRegion: outside(edited, (pixel) => region[pixel] === 0),
    outsideBoxes: outsideThings(edited),
    outsideBoxesRedrawn: outsideThings(redrawn),
  };
}

type Candidate = { readonly edit: GraphEdit; readonly seed: number; readonly image: OwnImage };

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

