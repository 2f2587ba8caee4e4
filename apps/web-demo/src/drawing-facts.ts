import { IMAGE_OBJECT, type SceneGraph } from '@sgdiff/sg-schema';
import type { DrawResult } from './protocol';

/** A fact about a picture, for the line below it. */
export type Fact = { readonly text: string; readonly title?: string };

/**
 * How a picture was drawn, in a few words each.
 *
 * @param threads Of the backend.
 */
export function drawingFacts(
  { seconds, record, withoutToken }: Pick<DrawResult, 'seconds' | 'record' | 'withoutToken'>,
  { graph, threads }: { readonly graph: SceneGraph; readonly threads: number },
): Fact[] {
  const { backend, seed, steps, guidanceScale } = record;
  const count = withoutToken.length;
  return [
    { text: `${seconds.toFixed(1)} s` },
    { text: backend + (threads > 1 ? `, ${threads} threads` : '') },
    { text: `seed ${seed}` },
    { text: `${steps} ${steps === 1 ? 'step' : 'steps'}` },
    { text: guidanceScale === 1 ? 'no guidance' : `guidance ${guidanceScale}` },
    ...(count === 0
      ? []
      : [
          {
            text:
              count === 1 ? '1 relation without a token of its own' : `${count} relations without a token of their own`,
            title: `The model has fewer tokens than the graph has relations: ${withoutToken.map((triple) => wordsOf(graph, triple)).join(', ')}.`,
          },
        ]),
  ];
}

function wordsOf({ objects }: SceneGraph, [subject, predicate, object]: DrawResult['withoutToken'][number]): string {
  return `${objects[subject]} ${predicate} ${objects[object] ?? IMAGE_OBJECT}`;
}
