// Whether the attention maps point at what they say they do.
import type { Detection } from '@sgdiff/metrics';
import type { ModelSource, Picture, Pipeline } from '@sgdiff/pipeline';
import type { Box } from '@sgdiff/sg-schema';
import type { BackendChoice } from '../backend';
import type { Terminal } from '../terminal';
import { evaluationParts, loadModelDetector, unseenSamples, type EvaluationSplit } from './evaluation-parts';
import { interruptible } from './generate';
import { peakOf } from './maps';

const DRAW_BATCH = 4;

/** Words that fill a part of the picture from edge to edge: their boxes are large, and easy to hit. */
const BACKGROUNDS: readonly string[] = ['sky', 'grass', 'sand', 'snow', 'ocean', 'road', 'mountain', 'hill'];

/** Of objects that their graph names once and that the detector found in the picture; shares, 0 to 1. */
export type MapsReport = {
  readonly objects: number;
  /** Whose map has its largest value in the object's box. */
  readonly peakInBox: number;
  /** The same for the maps of the other objects of the picture: what a map hits that says nothing of the object. */
  readonly otherPeakInBox: number;
  /** Of the picture that the box covers: what a random place hits. */
  readonly boxArea: number;
  /** Of the map's sum within the box. */
  readonly massInBox: number;
  /** Whose map has its centre of mass in the box. */
  readonly centreInBox: number;
};

/** Draws test graphs that training never saw and measures whether each object's map points at the box of what the detector sees there. */
export async function evaluateMaps(
  source: ModelSource,
  pipeline: Pipeline,
  { count, split, seed }: { readonly count: number; readonly split: EvaluationSplit; readonly seed: number },
  backend: BackendChoice,
  terminal: Terminal,
): Promise<void> {
  const parts = evaluationParts(pipeline);
  const samples = await unseenSamples(parts, split, count);
  const detector = await loadModelDetector(source, pipeline);
  const progress = terminal.progress('drawing graphs', count);
  const pictures: Picture[] = [];
  try {
    await interruptible(async (signal) => {
      for (let first = 0; first < count; first += DRAW_BATCH) {
        const graphs = samples.slice(first, first + DRAW_BATCH).map(({ graph }) => graph);
        const seeds = graphs.map((_, i) => seed + first + i);
        pictures.push(...(await pipeline.generateBatch(graphs, { seeds, signal, maps: true })));
        progress.update(pictures.length);
      }
    }, 'Stopped. Nothing was measured.');
    const found = await detector.detect(pictures.map(({ pixels }) => pixels));
    const hits = pictures.flatMap((picture, i) => hitsOf(picture, found[i]));
    const report = {
      things: mean(hits.filter(({ word }) => !BACKGROUNDS.includes(word))),
      backgrounds: mean(hits.filter(({ word }) => BACKGROUNDS.includes(word))),
    };
    terminal.say(`Attention maps of ${count} ${split} graphs`);
    terminal.say('             objects  peak in box  peak of another map  box of the picture  mass in box  centre of mass in box');
    for (const [name, row] of Object.entries(report)) {
      const shares = [row.peakInBox, row.otherPeakInBox, row.boxArea, row.massInBox, row.centreInBox].map((share) => share.toFixed(3));
      terminal.say(`${name.padEnd(12)} ${String(row.objects).padStart(7)}  ${shares[0].padEnd(11)}  ${shares[1].padEnd(19)}  ${shares[2].padEnd(18)}  ${shares[3].padEnd(11)}  ${shares[4]}`);
    }
    const { sampler, steps, guidanceScale } = pictures[0].record;
    const protocol = { dataset: 'picture-book', dataSeed: parts.data.seed, split, firstIndex: 0, count, seeds: `${seed} + index`, sampler, steps, guidanceScale };
    terminal.result({ maps: report, protocol: { ...protocol, model: pipeline.manifest.name, backend: backend.name } });
  } finally {
    progress.stop();
    detector.dispose();
  }
}

type Hit = Omit<MapsReport, 'objects'> & { readonly word: string };

/** Objects named once and found: with a word that comes twice it is not known which object a box belongs to. */
export function hitsOf({ record, maps, width }: Picture, detections: readonly Detection[]): Hit[] {
  const { objects } = record.graph;
  return objects.flatMap((word, i): Hit[] => {
    const map = maps!.objects[i];
    const [best] = detections.filter(({ category }) => category === word).sort((a, b) => b.score - a.score);
    if (!map || !best || objects.filter((other) => other === word).length > 1) return [];
    const { box } = best;
    const hit = (of: Float32Array): number => Number(isInside(box, ...placeOf(peakOf(of), width)));
    const others = maps!.objects.filter((other, k) => k !== i && other !== null).map((other) => hit(other!));
    let [sum, inside, x, y] = [0, 0, 0, 0];
    map.forEach((share, at) => {
      const place = placeOf(at, width);
      sum += share;
      x += share * place[0];
      y += share * place[1];
      if (isInside(box, ...place)) inside += share;
    });
    return [
      {
        word,
        peakInBox: hit(map),
        otherPeakInBox: others.length === 0 ? NaN : others.reduce((a, b) => a + b, 0) / others.length,
        boxArea: (box[2] - box[0]) * (box[3] - box[1]),
        massInBox: inside / sum,
        centreInBox: Number(isInside(box, x / sum, y / sum)),
      },
    ];
  });
}

/** The centre of a pixel, in [0, 1]; pictures are square. */
function placeOf(at: number, width: number): [x: number, y: number] {
  return [((at % width) + 0.5) / width, (Math.floor(at / width) + 0.5) / width];
}

function isInside([x0, y0, x1, y1]: Box, x: number, y: number): boolean {
  return x >= x0 && x <= x1 && y >= y0 && y <= y1;
}

function mean(hits: readonly Hit[]): MapsReport {
  const of = (key: Exclude<keyof Hit, 'word'>): number => {
    const values = hits.map((hit) => hit[key]).filter((value) => !Number.isNaN(value));
    return values.reduce((a, b) => a + b, 0) / values.length;
  };
  return {
    objects: hits.length,
    peakInBox: of('peakInBox'),
    otherPeakInBox: of('otherPeakInBox'),
    boxArea: of('boxArea'),
    massInBox: of('massInBox'),
    centreInBox: of('centreInBox'),
  };
}
