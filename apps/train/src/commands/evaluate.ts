import type { PictureBookSample } from '@sgdiff/datasets';
import { initSmallImageEncoder, retrieval, smallImageEncoder } from '@sgdiff/masked-contrastive-pretrain';
import { complianceReport, type ComplianceReport } from '@sgdiff/metrics';
import { createRng, disposeParams } from '@sgdiff/nn';
import { loadModelWeights, type GenerateOptions, type ModelSource, type Pipeline, type RequestRecord, requireSampler } from '@sgdiff/pipeline';
import { encodeSceneGraphs, initSgEncoder } from '@sgdiff/sg-encoder';
import { packGraphs, type SceneGraph } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import { join } from 'node:path';
import type { BackendChoice } from '../backend';
import { CliError } from '../errors';
import { requireWritableFolder, writeFileAtomic } from '../files';
import { encodePicture, tile, type Picture } from '../png';
import type { Terminal } from '../terminal';
import { evaluationParts, holdsBetween, loadModelDetector, TOLERANCE, toTensor, unseenSamples, type EvaluationSplit } from './evaluation-parts';
import { interruptible } from './generate';

/** Pictures encoded at a time. */
const BATCH = 10;
const DRAW_BATCH = 4;
const SHEET = 32;

export type ComplianceOptions = {
  readonly count: number;
  readonly split: EvaluationSplit;
  readonly seed: number;
  readonly steps?: number;
  readonly sampler?: string;
  readonly guidanceScale?: number;
  /** Folder for a sheet of true renders above what was drawn from their graphs. */
  readonly out?: string;
};

/** Draws test graphs that training never saw and measures how far the pictures comply with them. */
export async function evaluateCompliance(
  source: ModelSource,
  pipeline: Pipeline,
  options: ComplianceOptions,
  backend: BackendChoice,
  terminal: Terminal,
): Promise<void> {
  const parts = evaluationParts(pipeline);
  const { count, split, seed, steps, sampler, guidanceScale } = options;
  if (options.out !== undefined) requireWritableFolder(options.out);
  const samples = await unseenSamples(parts, split, count);
  const graphs = samples.map(({ graph }) => graph);
  const asked: DrawSettings = {
    ...(sampler === undefined ? {} : { sampler: requireSampler(sampler) }),
    ...(steps === undefined ? {} : { steps }),
    ...(guidanceScale === undefined ? {} : { guidanceScale }),
  };
  const detector = await loadModelDetector(source, pipeline);
  try {
    const begun = performance.now();
    const { drawn, settings } = await drawAll(pipeline, graphs, seed, asked, terminal);
    const report = complianceReport({
      graphs,
      detections: await detector.detect(drawn.map(({ data }) => data)),
      trueDetections: await detector.detect(samples.map(({ image }) => image)),
      relationHolds: holdsBetween,
    });
    const seconds = (performance.now() - begun) / 1000;
    const protocol = {
      dataset: 'picture-book',
      dataSeed: parts.data.seed,
      split,
      firstIndex: 0,
      ...settings,
      seeds: `${seed} + index`,
      tolerance: TOLERANCE,
      detector: 'of the model, trained on the split "detector", thresholds from the split "validation"',
      model: pipeline.manifest.name,
      backend: backend.name,
    };
    printTable(report, split, terminal);
    if (options.out !== undefined) {
      writeFileAtomic(join(options.out, 'compliance.json'), `${JSON.stringify({ compliance: report, protocol }, null, 2)}\n`);
      writeSheet(join(options.out, 'compliance.png'), samples, drawn);
      terminal.say(`Pictures and details in ${options.out}`);
    }
    terminal.result({ compliance: report, protocol, seconds });
  } finally {
    detector.dispose();
  }
}

/** How well the pre-trained graph encoder and its image encoder find each other's partner; `count` is a multiple of `candidates`. */
export async function evaluatePretrain(
  source: ModelSource,
  pipeline: Pipeline,
  options: { readonly count: number; readonly candidates: number; readonly split: EvaluationSplit },
  backend: BackendChoice,
  terminal: Terminal,
): Promise<void> {
  const parts = evaluationParts(pipeline);
  const image = parts.pretrain.image;
  if (image === null) {
    throw new CliError(
      `The model "${pipeline.manifest.name}" was pre-trained against an image encoder of another folder and does not carry it, so its retrieval ` +
        'cannot be measured from the model. "sgdiff train pretrain" measures it at its end, on the validation split.',
    );
  }
  const { count, candidates, split } = options;
  const samples = await unseenSamples(parts, split, count);
  const rng = createRng(0);
  const imageEncoder = await loadModelWeights(source, pipeline.manifest, 'image-encoder.safetensors', () => initSmallImageEncoder(image, rng));
  const encoder = await loadModelWeights(source, pipeline.manifest, 'encoder.safetensors', () => initSgEncoder(parts.pretrain.encoder, rng));
  try {
    const width = parts.pretrain.encoder.globalWidth;
    const graphGlobals = new Float32Array(count * width);
    const imageGlobals = new Float32Array(count * width);
    for (let first = 0; first < count; first += BATCH) {
      const some = samples.slice(first, first + BATCH);
      const packed = packGraphs(some.map(({ graph }) => graph), pipeline.vocabulary, { maxTriples: parts.pretrain.encoder.maxTriples });
      const [graphs, images] = tf.tidy(() => [
        encodeSceneGraphs(encoder, parts.pretrain.encoder, packed).global,
        smallImageEncoder(imageEncoder, image, toTensor(some.map((sample) => sample.image), parts.data.size)).global,
      ]);
      graphGlobals.set(await graphs.data(), first * width);
      imageGlobals.set(await images.data(), first * width);
      tf.dispose([graphs, images]);
    }
    const result = retrieval(graphGlobals, imageGlobals, { width, candidates });
    for (const side of ['graphToImage', 'imageToGraph'] as const) {
      const { r1, r5, r10 } = result[side];
      terminal.say(`${side.padEnd(13)} top-1 ${r1.toFixed(3)}  top-5 ${r5.toFixed(3)}  top-10 ${r10.toFixed(3)}  among ${candidates}`);
    }
    terminal.result({
      retrieval: { ...result, candidates },
      protocol: { dataset: 'picture-book', dataSeed: parts.data.seed, split, firstIndex: 0, count, backend: backend.name },
    });
  } finally {
    disposeParams(imageEncoder);
    disposeParams(encoder);
  }
}

type DrawSettings = Pick<GenerateOptions, 'sampler' | 'steps' | 'guidanceScale'>;

/** Settings that were not asked for are the model's. */
async function drawAll(
  pipeline: Pipeline,
  graphs: readonly SceneGraph[],
  seed: number,
  asked: DrawSettings,
  terminal: Terminal,
): Promise<{ readonly drawn: Picture[]; readonly settings: Pick<RequestRecord, 'sampler' | 'steps' | 'spacing' | 'guidanceScale' | 'eta'> }> {
  const progress = terminal.progress('drawing graphs', graphs.length);
  const drawn: Picture[] = [];
  const records: RequestRecord[] = [];
  try {
    await interruptible(async (signal) => {
      for (let first = 0; first < graphs.length; first += DRAW_BATCH) {
        const some = graphs.slice(first, first + DRAW_BATCH);
        const seeds = some.map((_, i) => seed + first + i);
        const batch = await pipeline.generateBatch(some, { ...asked, seeds, signal });
        drawn.push(...batch.map(({ width, height, pixels }) => ({ width, height, data: pixels })));
        records.push(...batch.map(({ record }) => record));
        progress.update(drawn.length);
      }
    }, 'Stopped. Nothing was measured.');
  } finally {
    progress.stop();
  }
  const { sampler, steps, spacing, guidanceScale, eta } = records[0];
  return { drawn, settings: { sampler, steps, spacing, guidanceScale, eta } };
}

function printTable({ entity, relation, graphs, ceiling, floor, categories, predicates }: ComplianceReport, split: EvaluationSplit, terminal: Terminal): void {
  terminal.say(`Graph compliance on ${graphs} ${split} graphs`);
  terminal.say('            drawn   ceiling (true renders)   floor (other graphs)');
  const row = (name: string, a: number, b: number, c: number): string =>
    `${name.padEnd(10)} ${a.toFixed(3).padStart(6)}   ${b.toFixed(3).padStart(6)}                   ${c.toFixed(3).padStart(6)}`;
  terminal.say(row('entity', entity, ceiling.entity, floor.entity));
  terminal.say(row('relation', relation, ceiling.relation, floor.relation));
  const list = (shares: ComplianceReport['categories']): string =>
    Object.entries(shares)
      .sort(([, a], [, b]) => a.share - b.share)
      .map(([name, { share, total }]) => `${name} ${share.toFixed(2)} (${total})`)
      .join(', ');
  terminal.say(`by word:     ${list(categories)}`);
  terminal.say(`by relation: ${list(predicates)}`);
}

/** Rows of true renders, and under each what was drawn from the same graphs. */
function writeSheet(path: string, samples: readonly PictureBookSample[], drawn: readonly Picture[]): void {
  const columns = 8;
  const cells: Picture[] = [];
  const count = Math.min(SHEET, samples.length);
  for (let first = 0; first < count; first += columns) {
    const row = Array.from({ length: Math.min(columns, count - first) }, (_, i) => first + i);
    const blank = (picture: Picture): Picture => ({ ...picture, data: new Uint8Array(picture.data.length).fill(255) });
    const pad = Array.from({ length: columns - row.length }, () => blank(drawn[0]));
    const { width, height } = drawn[0];
    cells.push(...row.map((i) => ({ width, height, data: samples[i].image })), ...pad, ...row.map((i) => drawn[i]), ...pad);
  }
  writeFileAtomic(path, encodePicture(tile(cells, columns, { zoom: 2 })));
}
