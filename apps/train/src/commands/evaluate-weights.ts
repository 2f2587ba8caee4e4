// What the weights of a graph do: whether what weighs more is found more often, and at whose cost.
import { isPart } from '@sgdiff/datasets';
import { compliance, type Compliance } from '@sgdiff/metrics';
import { createRng } from '@sgdiff/nn';
import type { ModelSource, Pipeline } from '@sgdiff/pipeline';
import type { SceneGraph } from '@sgdiff/sg-schema';
import type { BackendChoice } from '../backend';
import type { Terminal } from '../terminal';
import { evaluationParts, holdsBetween, loadModelDetector, TOLERANCE, unseenSamples, type EvaluationSplit } from './evaluation-parts';
import { interruptible } from './generate';

export type WeightsOptions = {
  readonly count: number;
  readonly split: EvaluationSplit;
  readonly seed: number;
  readonly weights: readonly number[];
  readonly steps?: number;
};

/** Shares of graphs in whose picture the weighted one is found, and of all the others of those graphs. */
export type WeightRow = { readonly weight: number; readonly found: number; readonly others: number };
type Target = 'objects' | 'relationships';

const DRAW_BATCH = 4;

/**
 * Draws unseen graphs with a weight for one thing, and with a weight for one relation, and asks the model's detector whether it is there.
 * Every weight has the same graphs, the same choice in each and the same seeds.
 */
export async function evaluateWeights(
  source: ModelSource,
  pipeline: Pipeline,
  { count, split, seed, weights, steps }: WeightsOptions,
  backend: BackendChoice,
  terminal: Terminal,
): Promise<void> {
  const parts = evaluationParts(pipeline);
  const graphs = (await unseenSamples(parts, split, count)).map(({ graph: { boxes: _, ...graph } }) => graph);
  const chosen = { objects: graphs.map(chooseThing), relationships: graphs.map(chooseRelation) };
  const detector = await loadModelDetector(source, pipeline);
  const progress = terminal.progress('pictures', 2 * weights.length * count);
  const measured: Record<Target, WeightRow[]> = { objects: [], relationships: [] };
  try {
    await interruptible(async (signal) => {
      let drawn = 0;
      for (const target of ['objects', 'relationships'] as const) {
        for (const weight of weights) {
          const hits: (Hit | undefined)[] = [];
          for (let first = 0; first < count; first += DRAW_BATCH) {
            const places = chosen[target].slice(first, first + DRAW_BATCH);
            const some = graphs.slice(first, first + DRAW_BATCH).map((graph, i) => weighted(graph, target, places[i], weight));
            const seeds = some.map((_, i) => seed + first + i);
            const pictures = await pipeline.generateBatch(some, { seeds, signal, ...(steps === undefined ? {} : { steps }) });
            const found = await detector.detect(pictures.map(({ pixels }) => pixels));
            hits.push(
              ...some.map((graph, i) => hitOf(compliance(graph, found[i], holdsBetween), target, places[i])),
            );
            progress.update((drawn += some.length), `${target}, weight ${weight}`);
          }
          measured[target].push({ weight, ...summarise(hits) });
        }
      }
    }, 'Stopped. Nothing was measured.');
    const protocol = {
      ...{ dataset: 'picture-book', dataSeed: parts.data.seed, split, firstIndex: 0, count, seeds: `${seed} + index` },
      ...{ steps: steps ?? pipeline.manifest.defaults.steps, guidanceScale: pipeline.manifest.defaults.guidanceScale },
      ...{ tolerance: TOLERANCE, model: pipeline.manifest.name, backend: backend.name },
    };
    for (const [target, rows] of Object.entries(measured)) {
      const of = chosen[target as Target].filter((place) => place !== undefined).length;
      terminal.say(`One of the ${target} weighs more or less, ${of} ${split} graphs: is it in the picture, are the others?`);
      for (const { weight, found, others } of rows) terminal.say(`  weight ${String(weight).padEnd(5)} ${found.toFixed(3)}   others ${others.toFixed(3)}`);
    }
    terminal.result({ weights: measured, protocol });
  } finally {
    progress.stop();
    detector.dispose();
  }
}

/** A thing of a word that the graph has once: of two sheep it is not known which is found. */
function chooseThing({ objects }: SceneGraph, index: number): number | undefined {
  const things = objects.flatMap((word, i) => (!isPart(word) && objects.filter((other) => other === word).length === 1 ? [i] : []));
  return pick(things, index);
}

/** A relation between two things, where there is one. */
function chooseRelation({ objects, relationships }: SceneGraph, index: number): number | undefined {
  const all = relationships.map((_, r) => r);
  const between = all.filter((r) => !isPart(objects[relationships[r][0]]) && !isPart(objects[relationships[r][2]]));
  return pick(between.length > 0 ? between : all, index);
}

function pick(places: readonly number[], index: number): number | undefined {
  return places.length === 0 ? undefined : places[createRng('evaluate-weights', index).int(places.length)];
}

export function weighted(graph: SceneGraph, target: Target, place: number | undefined, weight: number): SceneGraph {
  if (place === undefined) return graph;
  const weights = graph[target].map((_, i) => (i === place ? weight : 1));
  return target === 'objects' ? { ...graph, weights } : { ...graph, relationshipWeights: weights };
}

type Hit = { readonly found: boolean; readonly others: readonly boolean[] };

function hitOf({ entities, relations }: Compliance, target: Target, place: number | undefined): Hit | undefined {
  if (place === undefined) return undefined;
  const all = target === 'objects' ? entities : relations;
  return { found: all[place], others: all.filter((_, i) => i !== place) };
}

function summarise(hits: readonly (Hit | undefined)[]): Omit<WeightRow, 'weight'> {
  const counted = hits.filter((hit) => hit !== undefined);
  const share = (list: readonly boolean[]): number => list.filter(Boolean).length / list.length;
  return { found: share(counted.map(({ found }) => found)), others: share(counted.flatMap(({ others }) => others)) };
}
