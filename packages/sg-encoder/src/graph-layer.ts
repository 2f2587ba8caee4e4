// Shapes: B batch, O object slots, T triple slots, D width, F hidden width.
import * as tf from '@tensorflow/tfjs-core';
import { initLinear, linear, type LinearParams, type Rng } from '@sgdiff/nn';
import { incidenceProduct, type Incidence } from './incidence';

/** Two linear layers with a ReLU between them. */
export type GraphMlpParams = { readonly up: LinearParams; readonly down: LinearParams };

/** Weights of one graph-triple-convolution layer. */
export type GraphLayerParams = {
  readonly triple: GraphMlpParams; // 3D -> F -> 3D, the reference's net1
  readonly node: GraphMlpParams; // D -> F -> D, the reference's net2
};

/** Fresh weights, PyTorch's default initialisation as published. */
export function initGraphLayer(width: number, hiddenWidth: number, rng: Rng): GraphLayerParams {
  const mlp = (name: string, outer: number): GraphMlpParams => ({
    up: initLinear(outer, hiddenWidth, rng.fork(name, 'up')),
    down: initLinear(hiddenWidth, outer, rng.fork(name, 'down')),
  });
  return { triple: mlp('triple', 3 * width), node: mlp('node', width) };
}

/**
 * New node and predicate vectors from messages along the triples.
 *
 * @param nodes Node vectors `[B, O, D]`, float32.
 * @param predicates Predicate vectors `[B, T, D]`, float32.
 * @param incidence Who is subject and object of which triple; padding has zero rows there.
 * @param options `finalRelu`: end both MLPs with a ReLU, as published.
 * @returns `nodes` `[B, O, D]` and `predicates` `[B, T, D]`; padded slots hold numbers that nothing else depends on.
 *   The caller disposes them.
 * @see Johnson et al., arXiv:1804.01622, section 3 (graph convolution network); average pooling over both roles.
 */
export function graphLayer(
  params: GraphLayerParams,
  nodes: tf.Tensor3D,
  predicates: tf.Tensor3D,
  incidence: Incidence,
  { finalRelu }: { readonly finalRelu: boolean },
): { nodes: tf.Tensor3D; predicates: tf.Tensor3D } {
  const [B, T, D] = predicates.shape;
  return tf.tidy(() => {
    const triples = tf.concat(
      [incidenceProduct(incidence.subject, nodes), predicates, incidenceProduct(incidence.object, nodes)],
      -1,
    ); // [B, T, 3D]
    const messages = graphMlp(params.triple, triples, finalRelu);
    const [fromSubject, newPredicates, fromObject] = [0, D, 2 * D].map((begin) =>
      tf.slice(messages, [0, 0, begin], [B, T, D]),
    ) as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D]; // each [B, T, D]
    const pooled = incidenceProduct(incidence.pool, tf.concat([fromSubject, fromObject], 1)); // [B, O, D]
    return { nodes: graphMlp(params.node, pooled, finalRelu), predicates: newPredicates };
  });
}

function graphMlp(params: GraphMlpParams, x: tf.Tensor3D, finalRelu: boolean): tf.Tensor3D {
  const y = linear(params.down, tf.relu(linear(params.up, x)));
  return (finalRelu ? tf.relu(y) : y) as tf.Tensor3D;
}
