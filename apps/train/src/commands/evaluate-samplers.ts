// Shapes: N pictures, S image side, G width of the image encoder's global vector.
import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { initSmallImageEncoder, smallImageEncoder, type SmallImageEncoderConfig, type SmallImageEncoderParams } from '@sgdiff/masked-contrastive-pretrain';
import { complianceReport, featureStatistics, frechetDistance, type ComplianceReport, type Detection, type FeatureStatistics } from '@sgdiff/metrics';
import { createRng, disposeParams } from '@sgdiff/nn';
import { loadModelWeights, networkCalls, SAMPLERS, type ModelSource, type Pipeline, type RequestRecord, type SamplerName } from '@sgdiff/pipeline';
import type { SceneGraph } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import type { BackendChoice } from '../backend';
import { CliError } from '../errors';
import { messageOf, requireWritableFolder, writeFileAtomic } from '../files';
import { stoppable } from '../stop-signals';
import type { Terminal } from '../terminal';
import { evaluationParts, holdsBetween, loadModelDetector, TOLERANCE, toTensor, unseenSamples, type EvaluationSplit } from './evaluation-parts';

/** Steps that the table of docs/samplers.md has. */
export const TABLE_STEPS: readonly number[] = [5, 10, 15, 25, 50];

const DRAW_BATCH = 8;
const ENCODE_BATCH = 32;

export type SamplersOptions = {
  readonly count: number;
  readonly split: EvaluationSplit;
  readonly seed: number;
  readonly steps: readonly number[];
  /** Samplers whose names match; all of them unless given. */
  readonly only?: RegExp;
  /** File of the cells measured so far, which are not measured again. */
  readonly cells: string;
  /** Measures also those. */
  readonly fresh: boolean;
  /** JSON with the results of this run. */
  readonly out?: string;
};

/** What the pictures of one sampler in so many steps are worth. */
export type SamplerCell = {
  readonly sampler: SamplerName;
  readonly steps: number;
  /** Network calls per picture. With guidance, each computes with and without the graph. */
  readonly calls: number;
  readonly entity: number;
  readonly relation: number;
  readonly frechet: number;
};

/** All that a cell depends on but sampler and steps. Cells of another protocol are others. */
export type SamplersProtocol = Pick<RequestRecord, 'model' | 'spacing' | 'sigmas' | 'guidanceScale'> & {
  readonly dataset: 'picture-book';
  readonly dataSeed: number;
  readonly split: EvaluationSplit;
  readonly firstIndex: 0;
  readonly count: number;
  readonly seeds: string;
  readonly tolerance: number;
  readonly frechet: string;
  readonly backend: string;
};

type Measured = { readonly protocol: SamplersProtocol; readonly cells: readonly SamplerCell[] };

/** The numbers that a sampler's are to be seen against. */
export type Yardsticks = {
  /** Of the true renders of the graphs: what the detector finds where all is right. */
  readonly ceiling: Pick<ComplianceReport, 'entity' | 'relation'>;
  /** Of the true renders of other graphs: what it finds by chance. */
  readonly floor: Pick<ComplianceReport, 'entity' | 'relation'>;
  /** From the true renders of these graphs to those of as many others. */
  readonly frechetOfOtherGraphs: number;
  /** How many the shares are of. */
  readonly objects: number;
  readonly relations: number;
};

/**
 * Draws the same graphs from the same seeds with one sampler after the other and measures the pictures. Every finished cell is
 * written to the file at once, and a run goes on from there.
 */
export async function evaluateSamplers(
  source: ModelSource,
  pipeline: Pipeline,
  options: SamplersOptions,
  backend: BackendChoice,
  terminal: Terminal,
): Promise<void> {
  const { count, split, seed, cells: path, fresh, out } = options;
  const parts = evaluationParts(pipeline);
  const image = parts.pretrain.image;
  if (image === null) {
    throw new CliError(`The model "${pipeline.manifest.name}" carries no image encoder to measure with. Export one whose run trained it ("sgdiff train").`);
  }
  const wanted = wantedCells(options, pipeline.manifest.schedule.timesteps);
  for (const file of [path, ...(out === undefined ? [] : [out])]) requireWritableFolder(dirname(file));
  const kept = readMeasured(path);
  const samples = await unseenSamples(parts, split, 2 * count);
  const graphs = samples.slice(0, count).map(({ graph }) => graph);
  const renders = samples.map((sample) => sample.image);

  const detector = await loadModelDetector(source, pipeline);
  let encoder: SmallImageEncoderParams | undefined;
  try {
    const params = await loadModelWeights(source, pipeline.manifest, 'image-encoder.safetensors', () => initSmallImageEncoder(image, createRng(0)));
    encoder = params;
    const trueDetections = await detector.detect(renders.slice(0, count));
    const trueFeatures = await featuresOf(params, image, renders.slice(0, count));
    const comply = (detections: readonly (readonly Detection[])[]): ComplianceReport =>
      complianceReport({ graphs, detections, trueDetections, relationHolds: holdsBetween });
    const yardsticks: Yardsticks = {
      ...shares(comply(trueDetections)),
      frechetOfOtherGraphs: distance(trueFeatures, await featuresOf(params, image, renders.slice(count))),
    };

    const { record } = await pipeline.generate(graphs[0], { steps: 1 }); // tells the model's hash and its settings
    const { model, spacing, sigmas, guidanceScale } = record;
    const protocol: SamplersProtocol = {
      dataset: 'picture-book',
      dataSeed: parts.data.seed,
      split,
      firstIndex: 0,
      count,
      seeds: `${seed} + index`,
      tolerance: TOLERANCE,
      frechet: `global vectors (${image.globalWidth} numbers, at length 1) of the model's image encoder, drawn against true renders of the same graphs`,
      model,
      spacing,
      sigmas,
      guidanceScale,
      backend: backend.name,
    };
    const measured = new Map<string, SamplerCell>();
    const before = kept.find((run) => JSON.stringify(run.protocol) === JSON.stringify(protocol));
    const others = kept.filter((run) => run !== before);
    for (const cell of before?.cells ?? []) measured.set(keyOf(cell), cell);
    const missing = wanted.filter((cell) => fresh || !measured.has(keyOf(cell)));
    if (missing.length < wanted.length) terminal.note(`${wanted.length - missing.length} of ${wanted.length} cells are measured already (--fresh measures them anew).`);

    await measure(missing, async (cell, report, signal) => {
      const drawn = await drawAll(pipeline, graphs, seed, cell, report, signal);
      const { entity, relation } = comply(await detector.detect(drawn));
      const done = { ...cell, entity, relation, frechet: distance(trueFeatures, await featuresOf(params, image, drawn)) };
      measured.set(keyOf(cell), done);
      const runs: readonly Measured[] = [...others, { protocol, cells: [...measured.values()] }];
      writeFileAtomic(path, `${JSON.stringify({ format: 1, runs }, null, 1)}\n`);
    });

    const cells = wanted.map((cell) => measured.get(keyOf(cell))!);
    printCells(cells, yardsticks, terminal);
    const result = { protocol, yardsticks, cells };
    if (out !== undefined) writeFileAtomic(out, `${JSON.stringify(result, null, 2)}\n`);
    terminal.result(result);
  } finally {
    detector.dispose();
    if (encoder) disposeParams(encoder);
  }

  /** Takes cells one by one under a progress bar that counts network calls; Ctrl-C loses the one under way. */
  async function measure(
    missing: readonly WantedCell[],
    take: (cell: WantedCell, report: (share: number) => void, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    if (missing.length === 0) return;
    const total = missing.reduce((sum, { calls }) => sum + calls, 0) * count;
    const progress = terminal.progress('network calls', total);
    let done = 0;
    try {
      await stoppable(async (signal) => {
        for (const [i, cell] of missing.entries()) {
          const text = `${cell.sampler}, ${cell.steps} steps (${i + 1} of ${missing.length})`;
          const report = (share: number): void => progress.update(Math.round(done + share * cell.calls * count), text);
          try {
            await take(cell, report, signal);
          } catch (error) {
            if (signal.aborted) throw new CliError('Stopped. The same command goes on after the last finished cell.', { exitCode: 130, cause: error });
            throw error;
          }
          done += cell.calls * count;
        }
      });
    } finally {
      progress.stop();
    }
  }
}

type WantedCell = Pick<SamplerCell, 'sampler' | 'steps' | 'calls'>;

/** Few steps first: the cheap half of the table is there early. */
function wantedCells({ steps, only }: SamplersOptions, timesteps: number): WantedCell[] {
  const samplers = SAMPLERS.filter((name) => only?.test(name) ?? true);
  if (samplers.length === 0) throw new CliError(`--only: no sampler has a name that matches ${only?.source}. There are: ${SAMPLERS.join(', ')}.`);
  const tooMany = steps.find((each) => each > timesteps);
  if (tooMany !== undefined) throw new CliError(`--steps ${tooMany}: expected at most ${timesteps}, which this model was trained with.`);
  return [...new Set(steps)].sort((a, b) => a - b).flatMap((each) => samplers.map((sampler) => ({ sampler, steps: each, calls: networkCalls(sampler, each) })));
}

function keyOf({ sampler, steps }: WantedCell): string {
  return `${sampler} ${steps}`;
}

/** Bytes of one picture per graph, from the seeds `seed + index`. */
async function drawAll(
  pipeline: Pipeline,
  graphs: readonly SceneGraph[],
  seed: number,
  { sampler, steps }: WantedCell,
  report: (share: number) => void,
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const drawn: Uint8Array[] = [];
  for (let first = 0; first < graphs.length; first += DRAW_BATCH) {
    const some = graphs.slice(first, first + DRAW_BATCH);
    const seeds = some.map((_, i) => seed + first + i);
    const onStep = ({ index, steps: taken }: { index: number; steps: number }): void =>
      report((first + (some.length * (index + 1)) / taken) / graphs.length);
    drawn.push(...(await pipeline.generateBatch(some, { sampler, steps, seeds, signal, onStep })).map(({ pixels }) => pixels));
  }
  return drawn;
}

/** Gaussian of the global vectors of pictures, each at length 1: the length means nothing to the encoder's training. */
async function featuresOf(params: SmallImageEncoderParams, config: SmallImageEncoderConfig, images: readonly Uint8Array[]): Promise<FeatureStatistics> {
  const width = config.globalWidth;
  const rows = new Float64Array(images.length * width); // [N, G]
  for (let first = 0; first < images.length; first += ENCODE_BATCH) {
    const vectors = tf.tidy(() => smallImageEncoder(params, config, toTensor(images.slice(first, first + ENCODE_BATCH), config.imageSize)).global);
    try {
      rows.set(await vectors.data(), first * width);
    } finally {
      vectors.dispose();
    }
  }
  for (let n = 0; n < images.length; n++) {
    const row = rows.subarray(n * width, (n + 1) * width);
    const length = Math.hypot(...row);
    row.forEach((value, g) => (row[g] = value / length));
  }
  return featureStatistics({ data: rows, count: images.length, width });
}

function distance(a: FeatureStatistics, b: FeatureStatistics): number {
  return Math.max(0, frechetDistance(a.mean, a.covariance, b.mean, b.covariance)); // rounding goes a little below 0
}

/** @param report Of the true renders. */
function shares({ entity, relation, floor, categories, predicates }: ComplianceReport): Omit<Yardsticks, 'frechetOfOtherGraphs'> {
  const sum = (of: ComplianceReport['categories']): number => Object.values(of).reduce((all, { total }) => all + total, 0);
  return {
    ceiling: { entity, relation },
    floor: { entity: floor.entity, relation: floor.relation },
    objects: sum(categories),
    relations: sum(predicates),
  };
}

function readMeasured(path: string): readonly Measured[] {
  if (!existsSync(path)) return [];
  let value: { format?: unknown; runs?: unknown } | null;
  try {
    value = JSON.parse(readFileSync(path, 'utf8')) as typeof value;
  } catch (error) {
    throw new CliError(`The cells in ${path} could not be read: ${messageOf(error)}. Move the file away to measure anew.`, { cause: error });
  }
  if (value?.format !== 1 || !Array.isArray(value.runs)) {
    throw new CliError(`${path}: expected cells measured by this command, received something else. Choose another file with --cells.`);
  }
  return value.runs as readonly Measured[];
}

function printCells(cells: readonly SamplerCell[], { ceiling, floor, frechetOfOtherGraphs }: Yardsticks, terminal: Terminal): void {
  const row = (name: string, ...columns: readonly string[]): string => name.padEnd(26) + columns.map((column) => column.padStart(9)).join('');
  const fixed = (...numbers: readonly number[]): string[] => numbers.map((value) => value.toFixed(3));
  terminal.say(row('sampler', 'steps', 'calls', 'entity', 'relation', 'Fréchet'));
  for (const { sampler, steps, calls, entity, relation, frechet } of cells) {
    terminal.say(row(sampler, String(steps), String(calls), ...fixed(entity, relation, frechet)));
  }
  terminal.say(row('true renders', '', '', ...fixed(ceiling.entity, ceiling.relation, 0)));
  terminal.say(row('… of other graphs', '', '', ...fixed(floor.entity, floor.relation, frechetOfOtherGraphs)));
}
