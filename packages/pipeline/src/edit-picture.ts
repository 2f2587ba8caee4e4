// Shapes: side cells of a side of the latents.
import type { SamplingStep } from '@sgdiff/sampler';
import type { SceneGraph } from '@sgdiff/sg-schema';
import type * as tf from '@tensorflow/tfjs-core';
import { createAttentionSums, pictureMaps } from './attention-maps';
import { drawLatents, type DrawSettings, type LatentDrawer } from './draw-latents';
import { editRegion, touchedObjects } from './edit-region';
import { RequestError } from './errors';
import type { Regions } from './hold-regions';
import { MAX_EDITS, type EditStep, type RequestRecord } from './record';

/** A picture that was not drawn: its RGB bytes and their SHA-256, and its latents `[1, h, w, C]` in the diffusion's scale. */
export type Original = { readonly pixels: Uint8Array; readonly sha256: string; readonly z: tf.Tensor4D };

/** What is drawn together for an edited picture: the pictures it came from, then itself. */
export type EditPlan = {
  readonly graphs: readonly SceneGraph[];
  readonly regions: Regions;
  readonly edits: readonly EditStep[];
  /** What the first of them is, where it is not drawn. */
  readonly original?: Original;
};

type PlanSettings = Omit<DrawSettings, 'seeds' | 'onStep' | 'onAttention' | 'regions' | 'known'> & {
  readonly seed: number;
  /** Steps of the search for the region. */
  readonly onStep?: (step: SamplingStep) => void | Promise<void>;
};

/**
 * What to draw for the picture of a record.
 *
 * @throws RequestError if its regions are not of this model's size.
 */
export function planOf(
  { graph, edits = [] }: Pick<RequestRecord, 'graph' | 'edits'>,
  { latentShape }: LatentDrawer,
  original?: Original,
): EditPlan {
  const [side] = latentShape;
  return {
    graphs: [...edits.map((edit) => edit.graph), graph],
    regions: [undefined, ...edits.map(({ region }) => fromRows(region, side))],
    edits,
    ...(original ? { original } : {}),
  };
}

/**
 * What to draw for a picture whose graph is changed: where the change touches it, anew, and elsewhere as it was.
 *
 * Draws the old graph and, freely from the same noise, the new one, to see where they look for what the change touches.
 *
 * @throws RequestError for a picture that was edited too often; and what `drawLatents` throws.
 */
export async function planEdit(
  drawer: LatentDrawer,
  record: Pick<RequestRecord, 'graph' | 'edits'>,
  graph: SceneGraph,
  { seed, ...settings }: PlanSettings,
  original?: Original,
): Promise<EditPlan> {
  const [side] = drawer.latentShape;
  const parent = planOf(record, drawer, original);
  const touched = touchedObjects(record.graph, graph);
  const alone: EditPlan = { graphs: [graph], regions: [undefined], edits: [] };
  if (touched === 'all') return alone;
  if (touched.before.length + touched.after.length === 0) {
    return { ...parent, graphs: [...parent.graphs.slice(0, -1), graph] };
  }
  if (parent.edits.length >= MAX_EDITS) {
    throw new RequestError(
      `edit: expected a picture that was edited at most ${MAX_EDITS - 1} times, received one edited ${parent.edits.length} times. ` +
        `Draw it in full with redraw "all".`,
    );
  }
  const graphs = [...parent.graphs, graph];
  const sums = createAttentionSums();
  try {
    const regions = [...parent.regions, undefined];
    const seeds = graphs.map(() => seed);
    const z = await drawLatents(drawer, graphs, {
      ...settings,
      seeds,
      regions,
      ...(original ? { known: original.z } : {}),
      onAttention: (attention) => sums.add(attention),
    });
    z.dispose();
    const looked = (await sums.read())
      .map((means, i) => ({ graph: graphs[i], maps: pictureMaps(means, graphs[i], side) }))
      .slice(-2);
    const rows = toRows(editRegion(looked[0], looked[1], side), side);
    const region = fromRows(rows, side); // as it will be read from the record
    if (region.every((share) => share === 1)) return alone;
    return {
      ...parent,
      graphs,
      regions: [...parent.regions, region],
      edits: [...parent.edits, { graph: record.graph, region: rows }],
    };
  } finally {
    sums.dispose();
  }
}

/** A region as text: a row of it per line, a digit from 0, kept, to f, drawn anew, per cell. */
function toRows(region: Float32Array, side: number): string[] {
  const digits = Array.from(region, (share) => Math.round(share * 15).toString(16)).join('');
  return Array.from({ length: side }, (_, row) => digits.slice(row * side, (row + 1) * side));
}

function fromRows(rows: readonly string[], side: number): Float32Array {
  if (rows.length !== side || rows.some((row) => row.length !== side)) {
    throw new RequestError(
      `Request record: edits: expected regions of ${side} rows of ${side} digits, as this model has it, received ${rows.length} rows ` +
        `of ${[...new Set(rows.map((row) => row.length))].join(' and ')}. Take the record that @sgdiff/pipeline gave with the picture.`,
    );
  }
  return Float32Array.from(rows.join(''), (digit) => parseInt(digit, 16) / 15);
}
