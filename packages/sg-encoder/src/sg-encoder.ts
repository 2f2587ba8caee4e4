// Shapes: B batch, O object slots, T triple slots, D width, F hidden width, G global width.
import * as tf from '@tensorflow/tfjs-core';
import {
  embedding,
  initEmbedding,
  initLayerNorm,
  initLinear,
  layerNorm,
  linear,
  type EmbeddingParams,
  type NormParams,
  type LinearParams,
  type Rng,
} from '@sgdiff/nn';
import type { PackedGraphs } from '@sgdiff/sg-schema';
import { checkConfig, type SgEncoderConfig } from './config';
import { SgEncoderError } from './errors';
import { graphLayer, initGraphLayer, type GraphLayerParams } from './graph-layer';
import { createIncidence, incidenceProduct } from './incidence';

/** Weights. The key path is the name in the checkpoint, e.g. `layers.0.triple.up.weight`. */
export type SgEncoderParams = {
  readonly objectEmbedding: EmbeddingParams; // weight [objectCount + 1, D]; the last row is never used
  readonly predicateEmbedding: EmbeddingParams; // weight [predicateCount, D]
  readonly layers: readonly GraphLayerParams[];
  readonly nodeNorms?: readonly NormParams[]; // layers + 1 with norm 'layer', else absent
  readonly predicateNorms?: readonly NormParams[]; // likewise
  readonly projection: LinearParams; // weight [2D, G]
  readonly logitScale?: tf.Tensor; // scalar, kept for the published files; see the config
};

/** What the encoder says about a batch of graphs. */
export type SgEncoding = {
  /** One token per triple, subject ⊕ predicate ⊕ object: `[B, T, 3D]`; exactly 0 where there is no triple. */
  readonly local: tf.Tensor3D;
  /** 1 for a token, 0 for padding: `[B, T]`. */
  readonly mask: tf.Tensor2D;
  /** One vector per graph, not normalised: `[B, G]`. */
  readonly global: tf.Tensor2D;
};

/**
 * Fresh weights: PyTorch's defaults, as published (embeddings standard normal, linear layers uniform ±1/√fan-in).
 *
 * @throws SgEncoderError `invalid_config` if the config describes no encoder.
 */
export function initSgEncoder(config: SgEncoderConfig, rng: Rng): SgEncoderParams {
  checkConfig(config);
  const { width, hiddenWidth, layers } = config;
  const norms = (): NormParams[] => Array.from({ length: layers + 1 }, () => initLayerNorm(width));
  return {
    objectEmbedding: initEmbedding(config.objectCount + 1, width, rng.fork('objectEmbedding')),
    predicateEmbedding: initEmbedding(config.predicateCount, width, rng.fork('predicateEmbedding')),
    layers: Array.from({ length: layers }, (_, i) => initGraphLayer(width, hiddenWidth, rng.fork('layers', i))),
    ...(config.norm === 'layer' ? { nodeNorms: norms(), predicateNorms: norms() } : {}),
    projection: initLinear(2 * width, config.globalWidth, rng.fork('projection')),
    ...(config.logitScale ? { logitScale: tf.scalar(Math.log(1 / 0.07)) } : {}),
  };
}

/**
 * Local tokens and global vector of scene graphs (CGIP). Neither padding nor the order of graphs in the batch changes a
 * graph's numbers; reordering its objects or triples reorders its tokens with the triples and leaves the global vector.
 *
 * @param packed Graphs from `packGraphs`, which appends `__image__` and the `__in_image__` triples.
 * @returns `local` `[B, T, 3D]`, `mask` `[B, T]`, `global` `[B, G]`, float32. T is `packed.tripleSlots` (with overflow
 *   `first` at most `maxTriples`). The caller disposes them.
 * @throws SgEncoderError for more triples than `maxTriples` (unless overflow is `first`) and for a word the tables lack.
 * @see arXiv:2211.11138, section 3.1 and Figure 2.
 */
export function encodeSceneGraphs(params: SgEncoderParams, config: SgEncoderConfig, packed: PackedGraphs): SgEncoding {
  checkPacked(config, packed);
  const { batch: B, objectSlots: O, tripleSlots: T } = packed;
  const { layers, residual = false } = config;
  return tf.tidy(() => {
    const incidence = createIncidence(packed);
    const objectMask = tf.tensor2d(packed.objectMask, [B, O]);
    const tripleMask = tf.tensor2d(packed.tripleMask, [B, T]);
    let nodes = embedding(params.objectEmbedding, tf.tensor2d(packed.objects, [B, O], 'int32')) as tf.Tensor3D; // [B, O, D]
    let predicates = embedding(
      params.predicateEmbedding,
      tf.tensor2d(packed.predicates, [B, T], 'int32'),
    ) as tf.Tensor3D; // [B, T, D]
    for (let i = 0; i < layers; i++) {
      const next = graphLayer(
        params.layers[i]!,
        normed(params.nodeNorms, i, nodes),
        normed(params.predicateNorms, i, predicates),
        incidence,
        { finalRelu: !residual },
      );
      nodes = residual ? tf.add(nodes, next.nodes) : next.nodes;
      predicates = residual ? tf.add(predicates, next.predicates) : next.predicates;
    }
    nodes = normed(params.nodeNorms, layers, nodes);
    predicates = normed(params.predicateNorms, layers, predicates);

    const global = linear(
      params.projection,
      tf.concat([maskedMean(nodes, objectMask), maskedMean(predicates, tripleMask)], -1),
    ) as tf.Tensor2D; // [B, 2D] -> [B, G]
    // Overflow 'first' cuts here, after every triple has had its say.
    const tokens = Math.min(T, config.maxTriples);
    const firstRows = (x: tf.Tensor3D): tf.Tensor3D => tf.slice(x, [0, 0, 0], [B, tokens, x.shape[2]]);
    const mask = tf.slice(tripleMask, [0, 0], [B, tokens]); // [B, tokens]
    const local = tf.concat(
      [
        incidenceProduct(firstRows(incidence.subject), nodes),
        tf.mul(firstRows(predicates), tf.expandDims(mask, -1)) as tf.Tensor3D,
        incidenceProduct(firstRows(incidence.object), nodes),
      ],
      -1,
    ); // [B, tokens, 3D]
    return { local, mask, global };
  });
}

function normed(norms: readonly NormParams[] | undefined, i: number, x: tf.Tensor3D): tf.Tensor3D {
  return (norms ? layerNorm(norms[i]!, x) : x) as tf.Tensor3D;
}

/** Mean over the real slots; zero where there is none. `x` `[B, N, D]`, `mask` `[B, N]` -> `[B, D]`. */
function maskedMean(x: tf.Tensor3D, mask: tf.Tensor2D): tf.Tensor2D {
  const sum = tf.sum(tf.mul(x, tf.expandDims(mask, -1)), 1);
  return tf.div(sum, tf.maximum(tf.sum(mask, 1, true), 1)) as tf.Tensor2D;
}

function checkPacked(config: SgEncoderConfig, packed: PackedGraphs): void {
  const { batch: B, objectSlots: O, tripleSlots: T } = packed;
  const checkWords = (kind: string, ids: Int32Array, mask: Float32Array, slots: number, count: number): void => {
    for (let i = 0; i < ids.length; i++) {
      if (mask[i] === 1 && !(ids[i]! >= 0 && ids[i]! < count)) {
        throw new SgEncoderError(
          `encodeSceneGraphs: graph ${Math.floor(i / slots)} has ${kind} word ${ids[i]}, but the encoder knows words ` +
            `0 to ${count - 1}. Pack with the vocabulary the encoder was trained with.`,
          { code: 'unknown_word' },
        );
      }
    }
  };
  checkWords('object', packed.objects, packed.objectMask, O, config.objectCount);
  checkWords('predicate', packed.predicates, packed.tripleMask, T, config.predicateCount);
  if (config.overflow === 'first') return;
  for (let b = 0; b < B; b++) {
    let triples = 0;
    for (let t = 0; t < T; t++) triples += packed.tripleMask[b * T + t]!;
    if (triples > config.maxTriples) {
      throw new SgEncoderError(
        `encodeSceneGraphs: graph ${b} has ${triples} triples (its __in_image__ triples included), but the encoder takes ` +
          `${config.maxTriples}. Remove relations or objects, pack with maxTriples ${config.maxTriples}, or set overflow 'first'.`,
        { code: 'too_many_triples' },
      );
    }
  }
}
